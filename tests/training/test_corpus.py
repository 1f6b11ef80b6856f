"""What a run reads, and the blocks of text it is pretrained on."""

from pathlib import Path

from semiparametric.formats import Passage
from semiparametric.pair import load_gen
from training.corpus import pretraining_sequences
from training.sequences import ANSWER, PROMPT
from training.settings import Pretraining

PASSAGES = [Passage(id=str(number), text=f"Lamp {number} burns {number * 7} hours a night.") for number in range(30)]


def test_pretraining_blocks_hold_the_whole_corpus_once(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    blocks = pretraining_sequences(PASSAGES, codec, Pretraining(block_tokens=50), seed=1)
    assert {len(block.ids) for block in blocks[:-1]} == {50}
    ids = [token for block in blocks for token in block.ids]
    assert ids.count(codec.eos_id) == len(PASSAGES)
    texts = {codec.decode(text) for text in _split(ids, codec.eos_id)}
    assert texts == {codec.decode(codec.passage(passage)) for passage in PASSAGES}


def test_a_block_that_repeats_ends_with_a_stretch_of_its_own_text(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    blocks = pretraining_sequences(PASSAGES, codec, Pretraining(block_tokens=48, repeat_share=1.0), seed=1)
    whole = [block.ids for block in blocks if len(block.ids) == 48]
    assert len(whole) > 10
    assert all(any(ids[-6:] == ids[place : place + 6] for place in range(37)) for ids in whole)
    for block in blocks[:10]:
        given = block.kinds.count(PROMPT)
        assert block.kinds == [PROMPT] * given + [ANSWER] * (48 - given)
        assert 6 <= 48 - given <= 24


def test_what_repeats_is_not_always_equally_far_back(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    passages = PASSAGES * 10
    blocks = pretraining_sequences(passages, codec, Pretraining(block_tokens=48, repeat_share=1.0), seed=1)
    distances = {_distance(block.ids) for block in blocks if len(block.ids) == 48}
    assert len(distances) > 10


def test_the_share_of_repeating_blocks_is_the_one_asked_for(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    numbers = [Passage(id=str(number), title="", text=str(7919**20 * number)) for number in range(1, 1000)]
    blocks = pretraining_sequences(numbers, codec, Pretraining(block_tokens=64, repeat_share=0.5), seed=1)
    repeating = sum(_distance(block.ids, 8) > 0 for block in blocks)
    assert 0.4 < repeating / len(blocks) < 0.6


def _distance(ids: list[int], last: int = 6) -> int:
    """How far back the block's last tokens stand another time, 0 where they do not."""
    end = len(ids) - last
    return next((back for back in range(1, end + 1) if ids[end - back :][:last] == ids[end:]), 0)


def _split(ids: list[int], at: int) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    for token in ids:
        if token == at:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts[:-1]
