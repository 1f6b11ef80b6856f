"""Order and padding of training batches."""

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.batches import (
    ENOUGH,
    SMALLEST,
    Collator,
    NeighbourSampler,
    Sequences,
    WholeBatches,
    length_buckets,
    sequence_key,
)
from training.loss import IGNORED
from training.sequences import ANSWER, PASSAGE, PROMPT, TrainingSequence

TOKENS = {"a": (11, 12), "b": (13,), "same as a": (11, 12)}


def sequence(
    prompt: int, passage_id: str | None, negatives: Sequence[str] = (), query: str = "short"
) -> TrainingSequence:
    made = TrainingSequence(example=f"{passage_id}-{prompt}")
    made.add([5] * prompt, PROMPT)
    if passage_id:
        made.ret_positions.append(len(made.ids))
        made.passages.append(passage_id)
        made.negatives.append(list(negatives))
        made.queries.append(query)
        made.add([7], ANSWER)
        made.add([*TOKENS[passage_id], 8], PASSAGE)
        made.add([21, 22, 9], ANSWER)
    made.add([2], ANSWER)
    return made


def collator(*, passage_tokens_in_ntp: bool = False, **given: Any) -> Collator:
    return Collator(TOKENS, gen_pad=0, embseq_pad=99, passage_tokens_in_ntp=passage_tokens_in_ntp, **given)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.integers(1, 5), st.integers(0, 3))
def test_every_example_comes_once_an_epoch(places: list[int], run: int, epoch: int) -> None:
    sampler = NeighbourSampler(places, run=run, seed=3)
    sampler.set_epoch(epoch)
    assert sorted(sampler) == list(range(len(places)))


def test_runs_hold_neighbouring_passages() -> None:
    places = [place for place in range(64) for _ in range(3)]
    order = list(NeighbourSampler(places, run=8, seed=0))
    for start in range(0, len(order), 8):
        run = sorted(places[index] for index in order[start : start + 8])
        assert run == list(range(run[0], run[0] + 8)), "a run is eight different neighbours"


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    places = list(range(50))
    first, again, other = (NeighbourSampler(places, run=4, seed=seed) for seed in (1, 1, 2))
    assert list(first) == list(again)
    assert list(first) != list(other)
    again.set_epoch(1)
    assert list(first) != list(again)


def test_a_passage_that_two_examples_cite_stands_once_in_the_batch() -> None:
    batch = collator()([sequence(2, "a"), sequence(3, "b"), sequence(1, "same as a")])["batch"]
    assert sum(len(part["ids"]) for part in batch["passages"]) == 2
    rows = [tuple(row[row != 99].tolist()) for part in batch["passages"] for row in part["ids"]]
    lengths_sorted = ["same as a", "a", "b"]  # buckets go from short to long sequences
    assert [rows[target] for target in batch["targets"]] == [TOKENS[name] for name in lengths_sorted]


def test_targets_follow_the_rets_of_the_groups() -> None:
    batch = collator()([sequence(9, "a"), sequence(1, "b"), sequence(4, None)])["batch"]
    found = [int(group["ids"].flatten()[place]) for group in batch["groups"] for place in group["rets"]]
    assert found == [7, 7]
    assert len(batch["targets"]) == 2


def test_prompt_and_passage_tokens_do_not_count_in_ntp_unless_asked() -> None:
    without = collator()([sequence(2, "a")])["batch"]["groups"][0]["labels"][0].tolist()
    assert without == [IGNORED, IGNORED, 7, IGNORED, IGNORED, IGNORED, 21, 22, 9, 2]
    with_passages = collator(passage_tokens_in_ntp=True)([sequence(2, "a")])["batch"]["groups"][0]["labels"][0].tolist()
    assert with_passages == [IGNORED, IGNORED, 7, 11, 12, 8, 21, 22, 9, 2]


def test_a_cut_sequence_ends_with_its_first_lookup() -> None:
    groups = collator()([sequence(2, "a"), sequence(2, "b").cut_after_first_lookup()])["batch"]["groups"]
    assert [group["ids"].tolist() for group in groups][1] == [[5, 5, 7]]


def sampled(batch_size: int, parts: int, cut_share: float, epoch: int = 0) -> list[int]:
    sampler = WholeBatches(
        NeighbourSampler(list(range(50)), run=4, seed=1), batch_size=batch_size, parts=parts, cut_share=cut_share
    )
    sampler.set_epoch(epoch)
    assert len(list(sampler)) == len(sampler)
    return list(sampler)


def test_an_epoch_is_whole_batches_in_the_samplers_order() -> None:
    order = NeighbourSampler(list(range(50)), run=4, seed=1)
    order.set_epoch(2)
    assert sampled(8, 1, 0.0, epoch=2) == list(order)[:48]


@given(st.integers(1, 6), st.integers(1, 4), st.floats(0, 1))
def test_the_same_examples_share_a_batch_and_are_cut_whatever_it_is_divided_into(
    size: int, parts: int, cut_share: float
) -> None:
    batch_size = size * parts
    whole, divided = sampled(batch_size, 1, cut_share), sampled(batch_size, parts, cut_share)
    for start in range(0, len(whole), batch_size):
        batch, same = whole[start : start + batch_size], divided[start : start + batch_size]
        assert sorted(batch) == sorted(same)
        assert sum(index >= 50 for index in batch) == round(cut_share * batch_size)
        cut = [sum(index >= 50 for index in same[place : place + size]) for place in range(0, batch_size, size)]
        assert max(cut) - min(cut) <= 1, "each part has its share of the cut ones"


def test_an_index_past_the_end_is_the_sequence_cut() -> None:
    sequences = Sequences([sequence(2, "a"), sequence(1, None)])
    assert len(sequences) == 2
    assert sequences[0] == sequence(2, "a")
    assert sequences[2].ids == [5, 5, 7]
    assert sequences[2].is_cut
    assert sequences[3].ids == [5, 2]


def test_hard_negatives_join_the_passages_without_being_a_target() -> None:
    batch = collator(hard_negatives=1)([sequence(2, "a", negatives=["b", "same as a"])])["batch"]
    rows = [tuple(row[row != 99].tolist()) for part in batch["passages"] for row in part["ids"]]
    assert sorted(rows) == sorted([TOKENS["a"], TOKENS["b"]])
    assert [rows[target] for target in batch["targets"]] == [TOKENS["a"]]
    none = collator()([sequence(2, "a", negatives=["b"])])["batch"]
    assert sum(len(part["ids"]) for part in none["passages"]) == 1


def test_a_negative_of_one_lookup_may_be_the_passage_of_another() -> None:
    batch = collator(hard_negatives=2)([sequence(2, "a", negatives=["b"]), sequence(2, "b", negatives=["a"])])["batch"]
    assert sum(len(part["ids"]) for part in batch["passages"]) == 2


def test_texts_so_far_stand_in_the_order_of_their_targets() -> None:
    texts = {"long": (31, 32, 33), "short": (30,)}
    batch = collator(query_tokens=texts)([sequence(2, "a", query="long"), sequence(2, "b", query="short")])["batch"]
    queries = [tuple(row[row != 99].tolist()) for part in batch["queries"] for row in part["ids"]]
    rows = [tuple(row[row != 99].tolist()) for part in batch["passages"] for row in part["ids"]]
    assert [(query, rows[target]) for query, target in zip(queries, batch["targets"], strict=True)] == [
        (texts["short"], TOKENS["b"]),
        (texts["long"], TOKENS["a"]),
    ]
    assert batch["groups"] == []


def test_batches_without_passages_have_no_targets() -> None:
    batch = collator(with_passages=False, hard_negatives=1)([sequence(2, "a", negatives=["b"])])["batch"]
    assert batch["passages"] == []
    assert len(batch["targets"]) == 0
    assert len(batch["groups"]) == 1


def test_passages_are_told_apart_by_63_bits_of_their_tokens() -> None:
    batch = collator()([sequence(2, "a"), sequence(3, "b"), sequence(1, "same as a")])["batch"]
    assert sorted(batch["sequence_keys"].tolist()) == sorted([sequence_key((11, 12)), sequence_key((13,))])
    assert sequence_key((1, 2)) != sequence_key((2, 1))
    assert 0 <= sequence_key((11, 12)) < 2**63


def test_a_batch_names_its_examples_and_counts_its_tokens() -> None:
    batch = collator()([sequence(2, "a"), sequence(1, "b")])["batch"]
    assert batch["examples"] == ["a-2", "b-1"]
    assert batch["tokens"] == (10 + 8 + 2 + 1, 2 * 10 + 2 * 2)


@pytest.mark.parametrize("batch_size", [64, 256])
def test_little_of_a_realistic_batch_is_padding(batch_size: int) -> None:
    """Questions of a line, passages cut at 256 tokens, answers of a sentence or two, like those of textbooks."""
    lengths = random.Random(0)
    real = computed = 0
    for _ in range(20):
        items = [
            int(20 + min(lengths.lognormvariate(math.log(90), 0.7), 256) + lengths.lognormvariate(math.log(30), 0.6))
            for _ in range(batch_size)
        ]
        buckets = length_buckets(items, lambda item: item)
        real += sum(items)
        computed += sum(max(bucket) * len(bucket) for bucket in buckets)
    assert 1 - real / computed < 0.1


@given(st.lists(st.integers(1, 200), max_size=300))
def test_length_buckets_keep_every_item_and_little_padding(lengths: list[int]) -> None:
    buckets = length_buckets(lengths, lambda length: length)
    assert sorted(length for bucket in buckets for length in bucket) == sorted(lengths)
    for bucket in buckets:
        if len(bucket) > SMALLEST or sum(bucket[:-1]) >= ENOUGH:
            assert sum(bucket) >= 0.9 * max(bucket) * len(bucket)


def test_a_batch_without_lookups_has_no_passages() -> None:
    batch = collator()([sequence(3, None)])["batch"]
    assert batch["passages"] == []
    assert batch["targets"].dtype == torch.long
