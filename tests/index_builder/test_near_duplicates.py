"""Near-duplicates: what is left out, measured against exact Jaccard similarity."""

import random
from pathlib import Path

import pytest

from index_builder.corpus import read_corpus
from index_builder.near_duplicates import NearDuplicates, num_bands, shingles
from index_builder.reading import Reading
from index_builder.splitting import by_words
from semiparametric.formats import Passage, write_jsonl

WORDS = [f"{first}{second}" for first in ("ma", "ti", "lo", "ru", "se") for second in ("la", "mp", "de", "rn", "k")]


def passage(name: str, text: str, title: str = "") -> Passage:
    return Passage(id=name, title=title, text=text)


def similarity(one: Passage, other: Passage) -> float:
    first, second = set(shingles(one)), set(shingles(other))
    return len(first & second) / len(first | second)


def test_equal_and_nearly_equal_texts_are_left_out_and_the_first_stays() -> None:
    text = " ".join(random.Random(0).choices(WORDS, k=80))
    corpus = [
        passage("first", text),
        passage("other", " ".join(random.Random(1).choices(WORDS, k=80))),
        passage("equal", text),
        passage("punctuated", text.upper().replace(" ", ", ") + "!"),
        passage("one word more", f"{text} tide"),
        passage("half", text[: len(text) // 2]),
    ]
    near = NearDuplicates(0.8)
    assert [one.id for one in near.left_out(corpus)] == ["first", "other", "half"]
    assert near.count == 3
    assert [one.id for one in near.left_out(corpus[2:])] == ["equal", "half"]  # each reading begins anew
    assert near.count == 2


def test_the_same_words_under_another_title_are_another_passage() -> None:
    corpus = [passage(str(n), "Returns the value.", f"{word}.get") for n, word in enumerate(WORDS)]
    assert len(list(NearDuplicates(0.7).left_out(corpus))) == len(WORDS)


def test_scripts_without_spaces_are_compared_by_character() -> None:
    text = "灯台守は夕暮れに灯を点す" * 3 + "波は静かで月は明るい"
    corpus = [passage("1", text), passage("2", text + "。"), passage("3", "潮は一日に二度変わる")]
    assert [one.id for one in NearDuplicates(0.9).left_out(corpus)] == ["1", "3"]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_decisions_agree_with_exact_similarity_but_near_the_threshold(threshold: float) -> None:
    source = random.Random(7)
    near = NearDuplicates(threshold)
    agreed = compared = 0
    for number in range(400):
        words = [f"w{source.randrange(10**6)}" for _ in range(100)]
        changed = list(words)
        for place in source.sample(range(100), source.randrange(25)):
            changed[place] = "changed"
        one, other = passage("1", " ".join(words)), passage(str(number), " ".join(changed))
        exact = similarity(one, other)
        if abs(exact - threshold) > 0.12:  # three standard errors of an estimate from 128 hashes
            compared += 1
            agreed += len(list(near.left_out([one, other]))) == (1 if exact > threshold else 2)
    assert compared > 100
    assert agreed / compared > 0.98


def test_the_number_of_bands_finds_pairs_at_the_threshold() -> None:
    for hundredths in range(1, 101):
        threshold = hundredths / 100
        bands = num_bands(threshold)
        assert 128 % bands == 0
        assert bands == 128 or 1 - (1 - threshold ** (128 // bands)) ** bands >= 0.95


def test_passages_of_punctuation_or_few_words_are_compared_too() -> None:
    texts = ["...", "...", "???", "Yes", "yes", "Yes no"]
    kept = NearDuplicates(0.9).left_out(passage(str(n), text) for n, text in enumerate(texts))
    assert [one.text for one in kept] == ["...", "???", "Yes", "Yes no"]


def test_a_corpus_is_read_without_them_over_all_its_files(tmp_path: Path) -> None:
    text = " ".join(random.Random(3).choices(WORDS, k=60))
    write_jsonl(tmp_path / "a.jsonl", [passage("a", text), passage("b", "The tide turns twice a day.")])
    write_jsonl(tmp_path / "b.jsonl", [passage("c", text), passage("d", "The lamp is lit at dusk.")])
    reading = Reading(by_words(100), near_duplicates=NearDuplicates(0.9))
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    assert [one.id for one in read_corpus(paths, reading)] == ["a", "b", "d"]
    assert reading.counts == {"near_duplicates": 1}
