"""Gen and Embseq as one trainable module."""

import math
from pathlib import Path

import pytest
import torch
from transformers import LlamaModel

from semiparametric.embedding import (
    as_query,
    as_vector,
    embed_passages,
    pool,
    sequence_states,
    tokenize_passages,
)
from semiparametric.formats import Example, Passage, Segment
from semiparametric.pair import load_embseq, load_gen
from tests.conftest import tiny_llama_config
from tests.training.random_batches import VOCABULARY, gradients, random_batch, random_model, random_rows
from training import batches
from training.batches import Collator
from training.heldout import Checker
from training.model import CoSupervisedModel, Objective, projection
from training.sequences import TrainingSequence, training_sequence

PASSAGES = {
    f"p{number}": Passage(
        id=f"p{number}", title=f"Lamp {number}", text=f"Lamp {number} is " + "very " * number + "old."
    )
    for number in range(12)
}


def world(pair: Path, objective: Objective) -> tuple[CoSupervisedModel, Collator, list[TrainingSequence]]:
    gen, embseq = load_gen(pair), load_embseq(pair)
    tokens = tokenize_passages(embseq.tokenizer, embseq.spec, list(PASSAGES.values()))
    collator = Collator(
        {name: tuple(ids) for name, ids in zip(PASSAGES, tokens, strict=True)},
        gen_pad=0,
        embseq_pad=0,
        passage_tokens_in_ntp=False,
    )
    examples = [
        Example(
            id=name,
            task="t",
            question=f"How old is {passage.title}" + "?" * len(passage.text),
            answers=[],
            segments=[Segment(text="Old.", passage_id=name)],
        )
        for name, passage in PASSAGES.items()
    ]
    sequences = [training_sequence(example, PASSAGES, gen.codec, max_tokens=512) for example in examples]
    return CoSupervisedModel(gen.model, embseq.model, gen.spec, objective), collator, sequences


def test_the_objective_is_ntp_plus_lambda_nsp(tiny_pair: Path) -> None:
    model, collator, sequences = world(tiny_pair, Objective("co-supervised", nsp_weight=0.25))
    terms = model(**collator(sequences))
    torch.testing.assert_close(terms["loss"], terms["ntp"] + 0.25 * terms["nsp"])
    model.objective = Objective("ntp")
    torch.testing.assert_close(model(**collator(sequences))["loss"], terms["ntp"])
    model.objective = Objective("nsp")
    torch.testing.assert_close(model(**collator(sequences))["loss"], terms["nsp"])


def test_both_models_learn_from_the_next_sequence_loss(tiny_pair: Path) -> None:
    model, collator, sequences = world(tiny_pair, Objective("nsp"))
    model(**collator(sequences))["loss"].backward()
    for part in (model.gen, model.embseq):
        assert any(weight.grad is not None and bool(weight.grad.abs().sum() > 0) for weight in part.parameters())


def test_length_buckets_change_no_loss(tiny_pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, collator, sequences = world(tiny_pair, Objective("co-supervised"))
    together = collator(sequences)
    monkeypatch.setattr(batches, "SMALLEST", 1)
    apart = collator(sequences)
    assert len(apart["batch"]["groups"]) > len(together["batch"]["groups"])
    assert len(apart["batch"]["passages"]) > len(together["batch"]["passages"])
    torch.testing.assert_close(model(**apart)["ntp"], model(**together)["ntp"])
    torch.testing.assert_close(model(**apart)["nsp"], model(**together)["nsp"])


def test_a_batch_without_lookups_trains_the_next_token_alone(tiny_pair: Path) -> None:
    model, collator, _ = world(tiny_pair, Objective("co-supervised"))
    plain = TrainingSequence()
    plain.add([5, 6, 7, 2], 2)
    terms = model(**collator([plain]))
    torch.testing.assert_close(terms["loss"], terms["ntp"])


def test_where_texts_are_the_queries_they_are_compared_and_gens_states_are_not() -> None:
    """Encoded by Embseq, through its projection, unless there is an encoder for queries alone."""
    model, batch = random_model(), random_batch()
    texts = random_rows(len(batch["targets"]), 5, torch.Generator().manual_seed(9))
    batch["queries"] = [texts]
    torch.testing.assert_close(model(batch, only="vectors")["queries"], model.sequence_vectors(**texts))
    model.query = LlamaModel(tiny_llama_config(VOCABULARY))
    model.query_projection = torch.nn.Linear(32, 32, bias=False)
    pooled = pool(sequence_states(model.query, **texts), texts["mask"], "mean")
    expected = as_vector(pooled, model.spec, projection=model.query_projection.weight)
    torch.testing.assert_close(model(batch, only="vectors")["queries"], expected)


def test_an_encoder_of_texts_trained_alone_leaves_gen_unread() -> None:
    model, batch = random_model(Objective("nsp")), random_batch()
    batch["queries"] = [random_rows(len(batch["targets"]), 5, torch.Generator().manual_seed(9))]
    model(batch)["loss"].backward()
    assert gradients(model).keys() == {name for name, _ in model.named_parameters() if name.startswith("embseq.")}


def test_queries_are_projected_before_they_are_compared() -> None:
    model = random_model()
    model.query_projection = projection(32, 24)
    assert model.query_projection is not None
    states = torch.randn(2, 3, 32)
    expected = as_vector(states[1, 1] @ model.query_projection.weight.T, model.spec)
    torch.testing.assert_close(model.query_vectors(states, torch.tensor([4])), expected[None])


def test_a_loss_that_does_not_count_is_not_in_the_terms() -> None:
    assert random_model(Objective("ntp"))(random_batch()).keys() == {"loss", "ntp"}
    assert random_model(Objective("nsp"))(random_batch()).keys() == {"loss", "nsp", "accuracy"}


def test_held_out_recall_is_that_of_the_saved_pair(tiny_pair: Path) -> None:
    """The oracle embeds passages and queries one by one through the code that serving uses."""
    model, collator, sequences = world(tiny_pair, Objective("co-supervised"))
    model.eval()
    gen, embseq = load_gen(tiny_pair), load_embseq(tiny_pair)
    vectors = embed_passages(embseq, list(PASSAGES.values()))
    ranks = []
    for gold, sequence in enumerate(sequences):
        ids = torch.tensor([sequence.cut_after_first_lookup().ids])
        with torch.inference_mode():
            state = gen.model.model(input_ids=ids).last_hidden_state[0, -1]
        scores = vectors @ as_query(state, gen.spec)
        ranks.append(int((scores > scores[gold]).sum()))
    checker = Checker(collator.passage_tokens, collator)
    found = checker.check(model, sequences, checker.corpus_vectors(model), ks=(1, 3, 12))
    assert found.recall == {k: sum(rank < k for rank in ranks) / 12 for k in (1, 3, 12)}
    with torch.inference_mode():
        assert math.isclose(found.ntp, float(model(**collator(sequences))["ntp"]), rel_tol=1e-4)
