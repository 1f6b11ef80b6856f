"""What a run reads, and the blocks of text it is pretrained on."""

from pathlib import Path

from semiparametric.formats import Passage
from semiparametric.pair import load_gen
from training.corpus import pretraining_sequences
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


def test_blocks_that_repeat_say_half_as_much_twice(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    blocks = pretraining_sequences(PASSAGES, codec, Pretraining(block_tokens=50, repeat_share=1.0), seed=1)
    plain = pretraining_sequences(PASSAGES, codec, Pretraining(block_tokens=25), seed=1)
    assert [block.ids for block in blocks] == [block.ids * 2 for block in plain]


def test_the_share_of_repeating_blocks_is_the_one_asked_for(tiny_pair: Path) -> None:
    codec = load_gen(tiny_pair).codec
    blocks = pretraining_sequences(PASSAGES * 20, codec, Pretraining(block_tokens=16, repeat_share=0.5), seed=1)
    repeating = sum(block.ids[:8] == block.ids[8:] for block in blocks)
    assert 0.4 < repeating / len(blocks) < 0.6


def _split(ids: list[int], at: int) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    for token in ids:
        if token == at:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts[:-1]
