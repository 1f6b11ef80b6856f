"""Sentences: where they end, nothing lost, and no paragraph too long."""

import time

import pytest

from semiparametric.sentences import sentences


def test_a_sentence_does_not_end_at_an_abbreviation_or_a_number() -> None:
    text = "Dr. Ames trims the lamp, e.g. at dusk. Is it 3.5 m high? It is."
    assert sentences(text) == ["Dr. Ames trims the lamp, e.g. at dusk. ", "Is it 3.5 m high? ", "It is."]


@pytest.mark.parametrize("text", ["", "  x", "word " * 5000, "x" * 20_000, "One. Two! Three? (see p. 4) " * 10_000])
def test_long_paragraphs_are_split_in_linear_time_and_whole(text: str) -> None:
    start = time.process_time()
    assert "".join(sentences(text)) == text
    assert time.process_time() - start < 30  # the splitter alone takes minutes for the last one


def test_a_long_paragraph_has_the_sentences_of_its_parts() -> None:
    sentence = "The keeper trims it at dusk (see p. 4, Fig. 2) and writes it down. "
    assert sentences(sentence * 300) == [sentence] * 300
