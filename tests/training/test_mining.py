"""Hard negatives: both ways to find them against slow and obvious ones, and what is never a negative."""

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import Stemmer
import torch
from typer.testing import CliRunner

from cosup.cli import app
from index_builder.build import build_index
from index_builder.settings import BuildSettings
from semiparametric.codec import Codec
from semiparametric.embedding import embed_passages
from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, Segment, read_examples, write_jsonl
from semiparametric.pair import load_embseq, load_gen
from semiparametric.query_text import load_query_encoder
from training.examples.settings import MineSettings
from training.mining.bm25 import Bm25Searcher
from training.mining.lookups import lookups_of
from training.mining.mine import mine
from training.mining.pair import exact_nearest, pair_queries

WORDS = ("lamp", "bell", "anchor", "ladder", "kettle", "basket", "hammer", "mirror", "mill", "attic", "garden", "quay")


def world(count: int = 40) -> tuple[dict[str, Passage], list[Example]]:
    """Random passages of a few words, and a question of two of its words about each."""
    choice = random.Random(0)
    passages, examples = {}, []
    for number in range(count):
        said = choice.choices(WORDS, k=choice.randint(4, 12))
        passages[f"p{number}"] = Passage(id=f"p{number}", title=f"Page {number}", text=" ".join(said))
        cited = Segment(text=f"answer {number}", passage_id=f"p{number}")
        question = f"Which {said[0]}s and {said[1]}s?"
        examples.append(Example(id=f"e{number}", question=question, segments=[cited]))
    return passages, examples


def mined(tmp_path: Path, passages: Sequence[Passage], examples: Sequence[Example], **given: Any) -> list[list[str]]:
    """The negatives of every lookup."""
    write_jsonl(tmp_path / "corpus.jsonl", passages)
    write_jsonl(tmp_path / "examples.jsonl", examples)
    settings = {
        "examples": tmp_path / "examples.jsonl",
        "corpus": [tmp_path / "corpus.jsonl"],
        "out": tmp_path / "mined.jsonl",
    }
    mine(MineSettings.resolve(settings | given))
    after = list(read_examples(tmp_path / "mined.jsonl"))
    assert [example.model_copy(update={"segments": []}) for example in after] == [
        example.model_copy(update={"segments": []}) for example in examples
    ]
    return [segment.negatives for example in after for segment in example.cited]


def slow_bm25(passages: Sequence[Passage], question: str) -> dict[str, float]:
    """BM25 as the book has it, k1 1.5 and b 0.75, for words that no stop list holds."""
    stem = Stemmer.Stemmer("english").stemWord
    bags = {one.id: Counter(map(stem, re.findall(r"\w\w+", f"{one.title} {one.text}".lower()))) for one in passages}
    mean = sum(bag.total() for bag in bags.values()) / len(bags)
    scores = dict.fromkeys(bags, 0.0)
    for word in map(stem, re.findall(r"\w\w+", question.lower())):
        holding = sum(word in bag for bag in bags.values())
        idf = math.log(1 + (len(bags) - holding + 0.5) / (holding + 0.5))
        for name, bag in bags.items():
            scores[name] += idf * bag[word] / (bag[word] + 1.5 * (1 - 0.75 + 0.75 * bag.total() / mean))
    return scores


def test_bm25_ranks_as_the_formula_does() -> None:
    passages, examples = world()
    found = Bm25Searcher(passages).search(examples, 10)
    for example, ids in zip(examples, found, strict=True):
        scores = slow_bm25(list(passages.values()), example.question)
        best = sorted(scores.values(), reverse=True)[: len(ids)]
        assert [scores[name] for name in ids] == pytest.approx(best, rel=1e-4)


def test_bm25_finds_other_forms_of_a_word_and_gives_nothing_that_shares_none() -> None:
    passages = {
        "a": Passage(id="a", text="The bells are rung in fog."),
        "b": Passage(id="b", text="The mill turns."),
    }
    asked = [ask("When does the bell ring?", "a"), ask("the of zebra", "a")]
    assert Bm25Searcher(passages).search(asked, 5) == [["a"], []]
    assert Bm25Searcher(passages).search([], 5) == []


@pytest.mark.parametrize("block", [1, 7, 64])
def test_exact_search_in_blocks_ranks_as_a_sort_does(block: int) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(50, 8)).astype(np.float32)
    queries = generator.normal(size=(9, 8)).astype(np.float32)
    ids = [str(n) for n in range(50)]
    expected = [[ids[row] for row in np.argsort(-(vectors @ query))[:12]] for query in queries]
    assert exact_nearest(ids, vectors, block=block)(queries, 12) == expected
    assert [len(found) for found in exact_nearest(ids, vectors, block=block)(queries, 99)] == [50] * 9


def test_pair_queries_are_the_states_at_each_ret_whatever_they_are_batched_with(tiny_pair: Path) -> None:
    passages, examples = world(6)
    two = [Segment(text="So.", passage_id="p3"), Segment(text="And."), Segment(text="Then.", passage_id="p1")]
    asked = [*examples, Example(id="two", question="Both?", segments=two), Example(id="none", question="Hm?")]
    queries = pair_queries(tiny_pair, passages, batch_tokens=150, device="cpu")(asked)
    gen = load_gen(tiny_pair)
    codec = Codec(gen.tokenizer, gen.spec)
    expected = []
    for example in asked:
        ids = codec.prompt(example.question)
        for place, segment in enumerate(example.segments):
            text = f" {segment.text}" if place else segment.text
            if segment.passage_id is None:
                ids += codec.text(text)
                continue
            ids.append(gen.spec.control.ret)
            with torch.inference_mode():
                state = gen.model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0, -1]
            expected.append(torch.nn.functional.normalize(state, dim=0))
            ids += [*codec.passage(passages[segment.passage_id]), gen.spec.control.cs]
            ids += [*codec.text(text), gen.spec.control.ce]
    np.testing.assert_allclose(queries, torch.stack(expected).numpy(), atol=1e-5)
    assert len(queries) == len(lookups_of(asked)) == 8


def test_a_pair_gives_its_nearest_passages_as_negatives(tmp_path: Path, tiny_pair: Path) -> None:
    passages, examples = world(20)
    corpus = list(passages.values())
    negatives = mined(tmp_path, corpus, examples, method="pair", pair=tiny_pair, negatives=3, depth=20)
    queries = pair_queries(tiny_pair, passages, batch_tokens=500, device="cpu")(examples)
    scores = queries @ embed_passages(load_embseq(tiny_pair), corpus).T
    for row, (example, found) in enumerate(zip(examples, negatives, strict=True)):
        ranked = [corpus[place].id for place in np.argsort(-scores[row])]
        assert found == [name for name in ranked if name != example.segments[0].passage_id][:3]


def test_the_pairs_own_index_gives_the_same_negatives_as_exact_search(tmp_path: Path, tiny_pair: Path) -> None:
    passages, examples = world(20)
    exact = mined(tmp_path, list(passages.values()), examples, method="pair", pair=tiny_pair, negatives=3)
    index = tmp_path / "index"
    build_index(BuildSettings(pair=tiny_pair, corpus=tmp_path / "corpus.jsonl", out=index))
    command = ["examples", "mine", "--examples", str(tmp_path / "examples.jsonl"), "--negatives", "3"]
    command += ["--corpus", str(tmp_path / "corpus.jsonl"), "--out", str(tmp_path / "indexed.jsonl")]
    result = CliRunner().invoke(app, [*command, "--method", "pair", "--pair", str(tiny_pair), "--index", str(index)])
    assert result.exit_code == 0, result.output
    assert "20 examples, 60 negatives of 20 lookups" in result.output
    assert [example.segments[0].negatives for example in read_examples(tmp_path / "indexed.jsonl")] == exact


def test_a_pair_that_looks_up_with_text_mines_with_the_text_so_far(tmp_path: Path, tiny_pair: Path) -> None:
    text_pair = tmp_path / "pair"
    text_pair.mkdir()
    for part in ("gen", "embseq"):
        (text_pair / part).symlink_to(tiny_pair / part)
    spec = load_gen(tiny_pair).spec.model_copy(update={"query": "text", "query_folder": "embseq"})
    (text_pair / "pair.json").write_text(spec.model_dump_json())
    passages, _ = world(4)
    two = [Segment(text="So.", passage_id="p3"), Segment(text="And."), Segment(text="Then.", passage_id="p1")]
    asked = [Example(id="two", question="Both?", segments=two)]
    queries = pair_queries(text_pair, passages, batch_tokens=500, device="cpu")(asked)
    expected = load_query_encoder(text_pair).encode(["Both?", "Both?\nSo. And."])
    np.testing.assert_array_equal(queries, expected)


# What is never a negative


BELL = Passage(id="bell", title="Fog", text="The bell is rung in fog.")


def ask(question: str, *golds: str, answers: Sequence[str] = (), text: str = "In fog.", name: str = "e") -> Example:
    cited = [Segment(text=text, passage_id=gold) for gold in golds]
    return Example(id=name, question=question, answers=list(answers), segments=cited)


def test_gold_passages_and_those_that_say_the_same_are_never_negatives(tmp_path: Path) -> None:
    others = [
        BELL.model_copy(update={"id": "copy", "title": "Elsewhere", "text": "the bell is rung - in fog!"}),
        Passage(id="other", text="A bell was rung at noon."),
        Passage(id="second", text="Ships heard the bell rung from afar."),
    ]
    examples = [
        ask("When is the bell rung?", "bell", text="x"),
        ask("when is the bell rung", "second", text="y", name="same question"),
    ]
    assert mined(tmp_path, [BELL, *others], examples) == [["other"], ["other"]]


@pytest.mark.parametrize(("allow", "found"), [(False, ["no"]), (True, ["yes", "part", "no"])])
def test_passages_that_hold_an_answer_are_negatives_only_when_allowed(
    tmp_path: Path, allow: bool, found: list[str]
) -> None:
    others = [
        Passage(id="yes", text="The bell is rung at Thick Fog, and the bell is rung again."),
        Passage(id="part", title="In fog", text="Bell and horn are rung."),
        Passage(id="no", text="In thick foggy nights a bell stands on the long quay unheard."),
    ]
    example = ask("bell rung", "bell", answers=["thick fog"])
    assert mined(tmp_path, [BELL, *others], [example], allow_answers=allow) == [found]


def test_the_best_ranks_are_skipped_after_gold_ones(tmp_path: Path) -> None:
    passages, examples = world()
    whole = mined(tmp_path, list(passages.values()), examples[:5], negatives=6)
    assert mined(tmp_path, list(passages.values()), examples[:5], negatives=4, skip=2) == [ids[2:] for ids in whole]


def test_negatives_that_were_there_are_replaced_and_equal_runs_give_equal_files(tmp_path: Path) -> None:
    passages, examples = world()
    first = mined(tmp_path, list(passages.values()), examples)
    written = (tmp_path / "mined.jsonl").read_bytes()
    again = list(read_examples(tmp_path / "mined.jsonl"))
    assert mined(tmp_path, list(passages.values()), again) == first
    assert (tmp_path / "mined.jsonl").read_bytes() == written


@pytest.mark.parametrize(
    ("example", "given", "said"),
    [
        (ask("?", "gone"), {}, "example 'e': it cites the passage 'gone', which is not in the corpus. Add the corpus"),
        (ask("?"), {}, "examples.jsonl: its examples cite no passage: there is nothing to mine for"),
        (ask("?", "bell"), {"method": "pair"}, "--pair: --method pair needs a pair. Name its folder"),
        (ask("?", "bell"), {"index": Path("i")}, "--index: an index belongs to a pair. Use it with --method pair"),
        (ask("?", "bell"), {"language": "elvish"}, "--language: there is no stemmer for 'elvish'. Use one of"),
        (ask("?", "bell"), {"depth": 9, "skip": 5}, "5 skipped and 8 negatives are more than the 9 looked at"),
    ],
)
def test_what_cannot_be_mined_is_refused(tmp_path: Path, example: Example, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        mined(tmp_path, [BELL], [example], **given)
    assert said in str(caught.value)
    assert not (tmp_path / "mined.jsonl").exists()


def test_passages_without_words_and_writing_over_the_examples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the passages hold no words to search for"):
        mined(tmp_path, [Passage(id="bell", text="...")], [ask("?", "bell")])
    with pytest.raises(InputError, match="it is the examples file itself"):
        mined(tmp_path, [BELL], [ask("?", "bell")], out=tmp_path / "examples.jsonl")


def test_a_lookup_beyond_what_gen_reads_is_refused(tmp_path: Path, tiny_pair: Path) -> None:
    long = Segment(text="lamp and bell " * 400, passage_id="bell")
    example = Example(id="long", question="?", segments=[long, Segment(text="x", passage_id="bell")])
    with pytest.raises(InputError, match=r"example 'long': its last lookup stands .* Gen reads 512"):
        mined(tmp_path, [BELL], [example], method="pair", pair=tiny_pair)
