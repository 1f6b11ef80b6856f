"""Order and padding of training batches."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from training.batches import SMALLEST, Collator, NeighbourSampler, length_buckets
from training.loss import IGNORED
from training.sequences import ANSWER, PASSAGE, PROMPT, TrainingSequence

TOKENS = {"a": (11, 12), "b": (13,), "same as a": (11, 12)}


def sequence(prompt: int, passage_id: str | None) -> TrainingSequence:
    made = TrainingSequence()
    made.add([5] * prompt, PROMPT)
    if passage_id:
        made.ret_positions.append(len(made.ids))
        made.passages.append(passage_id)
        made.add([7], ANSWER)
        made.add([*TOKENS[passage_id], 8], PASSAGE)
        made.add([21, 22, 9], ANSWER)
    made.add([2], ANSWER)
    return made


def collator(*, passage_tokens_in_ntp: bool = False, cut_share: float = 0.0) -> Collator:
    return Collator(TOKENS, gen_pad=0, embseq_pad=99, passage_tokens_in_ntp=passage_tokens_in_ntp, cut_share=cut_share)


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


def test_a_share_of_the_batch_is_cut_after_its_first_lookup() -> None:
    groups = collator(cut_share=0.5)([sequence(2, "a"), sequence(2, "b")])["batch"]["groups"]
    assert [group["ids"].tolist() for group in groups][1] == [[5, 5, 7]]


@given(st.lists(st.integers(1, 200), max_size=300))
def test_length_buckets_keep_every_item_and_little_padding(lengths: list[int]) -> None:
    buckets = length_buckets(lengths, lambda length: length)
    assert sorted(length for bucket in buckets for length in bucket) == sorted(lengths)
    for bucket in buckets:
        if len(bucket) > SMALLEST:
            assert sum(bucket) >= 0.9 * max(bucket) * len(bucket)


def test_a_batch_without_lookups_has_no_passages() -> None:
    batch = collator()([sequence(3, None)])["batch"]
    assert batch["passages"] == []
    assert batch["targets"].dtype == torch.long
