"""Checks on the way against the code that serving uses."""

import math
from pathlib import Path

import torch

from semiparametric.embedding import embed_passages, tokenize_queries
from semiparametric.formats import Example, Passage, Segment
from semiparametric.pair import load_embseq, load_gen, save_pair
from semiparametric.query_text import load_query_encoder
from tests.training.test_model import PASSAGES
from training.batches import Collator
from training.corpus import TrainingData
from training.heldout import Checker
from training.loss import Objective
from training.model import CoSupervisedModel


def text_pair(tiny_pair: Path, out: Path) -> Path:
    """The tiny pair, but for that it looks up with the text so far."""
    gen, embseq = load_gen(tiny_pair), load_embseq(tiny_pair)
    spec = gen.spec.model_copy(update={"query": "text", "query_folder": "embseq"})
    save_pair(
        out,
        gen_model=gen.model,
        gen_tokenizer=gen.tokenizer,
        embseq_model=embseq.model,
        embseq_tokenizer=embseq.tokenizer,
        spec=spec,
    )
    return out


def lamp_example(number: int, passage: Passage) -> Example:
    segments = [Segment(text="Well, " * (number % 3 + 1)), Segment(text="Old.", passage_id=passage.id)]
    return Example(id=passage.id, question=f"How old is {passage.title}?", segments=segments)


def test_recall_of_the_text_so_far_is_that_of_the_saved_pairs_query_encoder(tiny_pair: Path, tmp_path: Path) -> None:
    pair = text_pair(tiny_pair, tmp_path / "pair")
    gen, embseq, encoder = load_gen(pair), load_embseq(pair), load_query_encoder(pair)
    examples = [lamp_example(number, passage) for number, passage in enumerate(PASSAGES.values())]
    data = TrainingData(dict(PASSAGES), [], {name: n for n, name in enumerate(PASSAGES)}, examples, {})
    sequences = data.sequences(examples, gen.codec, 512)
    scores = (
        encoder.encode([sequence.queries[0] for sequence in sequences])
        @ embed_passages(embseq, list(PASSAGES.values())).T
    )
    ranks = [int((row > row[gold]).sum()) for gold, row in enumerate(scores)]

    passage_tokens = data.passage_tokens(embseq.tokenizer, embseq.spec)
    collator = Collator(
        passage_tokens,
        gen_pad=0,
        embseq_pad=0,
        passage_tokens_in_ntp=False,
        query_tokens=data.query_tokens(sequences, embseq.tokenizer, embseq.spec),
    )
    model = CoSupervisedModel(gen.model, embseq.model, gen.spec, Objective("nsp")).eval()
    checker = Checker(passage_tokens, collator, ntp=False)
    found = checker.check(model, sequences, checker.corpus_vectors(model), ks=(1, 3, 12))
    assert found.recall == {k: sum(rank < k for rank in ranks) / 12 for k in (1, 3, 12)}
    assert math.isnan(found.ntp)

    both = Checker(passage_tokens, collator).check(model, sequences, checker.corpus_vectors(model), ks=(1,))
    group = collator.group(sequences)
    with torch.inference_mode():
        expected = gen.model(input_ids=group["ids"], attention_mask=group["mask"], labels=group["labels"]).loss
    assert math.isclose(both.ntp, float(expected), rel_tol=1e-4)


def test_texts_so_far_are_tokenised_once_each(tiny_pair: Path) -> None:
    embseq = load_embseq(tiny_pair)
    codec = load_gen(tiny_pair).codec
    passage = next(iter(PASSAGES.values()))
    data = TrainingData(dict(PASSAGES), [], {}, [], {})
    twice = data.sequences([lamp_example(0, passage)] * 2, codec, 512)
    tokens = data.query_tokens(twice, embseq.tokenizer, embseq.spec)
    text = twice[0].queries[0]
    assert tokens == {text: tuple(tokenize_queries(embseq.tokenizer, embseq.spec, [text])[0])}
