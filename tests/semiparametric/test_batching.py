"""Batches: every sequence once, like lengths together, little padding."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from semiparametric.batching import MAX_PADDING, buckets, make_batches

LENGTHS = st.lists(st.integers(1, 512), max_size=300)


@given(lengths=LENGTHS, batch_tokens=st.integers(1, 20_000))
@settings(deadline=None)
def test_every_row_stands_in_one_batch_within_its_tokens_and_little_is_padding(
    lengths: list[int], batch_tokens: int
) -> None:
    batches = list(buckets(lengths, batch_tokens))
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    for rows in batches:
        computed = len(rows) * max(lengths[row] for row in rows)
        assert computed <= batch_tokens or len(rows) == 1
        assert computed - sum(lengths[row] for row in rows) <= MAX_PADDING * computed


@given(lengths=LENGTHS, batch_tokens=st.integers(1, 20_000))
@settings(deadline=None)
def test_a_batch_ends_only_where_one_row_more_would_be_too_much(lengths: list[int], batch_tokens: int) -> None:
    batches = list(buckets(lengths, batch_tokens))
    for rows, following in pairwise(batches):
        more = [*rows, following[0]]
        computed = len(more) * lengths[rows[0]]
        assert computed > batch_tokens or computed - sum(lengths[row] for row in more) > MAX_PADDING * computed


def test_batches_hold_their_sequences_and_count_their_padding() -> None:
    sequences = [[7] * length for length in (30, 29, 3)]
    long, short = make_batches(sequences, batch_tokens=100, pad_id=0)
    assert (long.rows, long.ids.shape, long.tokens, long.padding) == ([0, 1], (2, 30), 59, 1)
    assert long.ids.sum(1).tolist() == [210, 203]
    assert long.mask.sum(1).tolist() == [30, 29]
    assert (short.rows, short.tokens, short.padding) == ([2], 3, 0)


def test_rows_of_a_fixed_length_are_counted_with_their_padding() -> None:
    (batch,) = make_batches([[7] * 3, [7] * 10], batch_tokens=100, pad_id=0, length=16)
    assert (batch.ids.shape, batch.tokens, batch.padding) == ((2, 16), 13, 19)
