"""Text in pieces: what is streamed joins to the text of all ids, and citations point into it."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from semiparametric.formats import Passage
from service.decoding.answer import Draft, ScoredPassage
from service.decoding.detokenizer import MAX_HELD, Detokenizer
from tests.conftest import tiny_tokenizer

FOUND = ScoredPassage(0, Passage(id="lamp", text="The lamp."), 0.5, 0.9)


def byte_fallback_tokenizer() -> Tokenizer:
    """Pieces like SentencePiece's: words begin with a lower line, other characters are spelled in bytes."""
    pieces = ["<unk>", *[f"<0x{byte:02X}>" for byte in range(256)], "▁", "▁the", "▁lamp", "s", "▁café"]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


BYTE_LEVEL = tiny_tokenizer()
FALLBACK = byte_fallback_tokenizer()


def fallback_id(piece: str) -> int:
    token = FALLBACK.token_to_id(piece)
    assert token is not None
    return token


def decode_byte_level(ids: Sequence[int]) -> str:
    return str(BYTE_LEVEL.decode(list(ids), skip_special_tokens=True))


def decode_fallback(ids: Sequence[int]) -> str:
    return str(FALLBACK.decode(list(ids)))


def pieces_of(detokenizer: Detokenizer, ids: Sequence[int]) -> list[str]:
    return [*[detokenizer.push(token) for token in ids], detokenizer.flush()]


@given(st.text(max_size=40))
def test_streamed_text_of_a_byte_level_tokenizer_joins_to_the_text(text: str) -> None:
    ids = BYTE_LEVEL(text, add_special_tokens=False).input_ids
    assert "".join(pieces_of(Detokenizer(decode_byte_level), ids)) == text


@given(st.lists(st.sampled_from(["the", "lamp", "lamps", "café", "灯台", "é", "🗼"]), max_size=12))
def test_streamed_text_of_a_byte_fallback_tokenizer_joins_to_the_text(words: list[str]) -> None:
    ids: list[int] = []
    for word in words:
        known = FALLBACK.token_to_id(f"▁{word.removesuffix('s')}")
        if known is None:
            ids += [fallback_id("▁"), *[1 + byte for byte in word.encode()]]
        else:
            ids += [known, *([fallback_id("s")] if word.endswith("s") else [])]
    assert "".join(pieces_of(Detokenizer(decode_fallback), ids)) == " ".join(words)


def test_a_character_is_held_back_until_all_its_bytes_are_there() -> None:
    ids = [1 + byte for byte in "é灯".encode()]
    assert pieces_of(Detokenizer(decode_fallback), ids) == ["", "é", "", "", "灯", ""]


def test_what_never_becomes_a_character_is_given_out_in_the_end() -> None:
    detokenizer = Detokenizer(decode_fallback)
    first, second = 1 + 0xE7, 1 + 0x81
    assert [detokenizer.push(first), detokenizer.push(second), detokenizer.flush()] == ["", "", "\ufffd\ufffd"]
    assert detokenizer.push(fallback_id("s")) == "s"


@given(st.lists(st.integers(1, 256), max_size=40))
def test_random_bytes_are_never_held_for_long_and_never_taken_back(ids: list[int]) -> None:
    detokenizer = Detokenizer(decode_fallback)
    silent = 0
    for token in ids:
        silent = 0 if detokenizer.push(token) else silent + 1
        assert silent < MAX_HELD
    assert detokenizer.flush() == "" or silent > 0


def test_a_citation_points_at_the_cited_text_without_surrounding_space() -> None:
    draft = Draft()
    draft.add("灯台 says:")
    draft.open(FOUND)
    for piece in [" ", "\n", "the lamp", " is lit ", ""]:
        draft.add(piece)
    citation = draft.close()
    assert citation is not None
    assert draft.text[citation.start : citation.end] == "the lamp is lit"
    assert (citation.passage_id, citation.score, citation.probability) == ("lamp", 0.5, 0.9)


def test_an_empty_cited_segment_makes_no_citation() -> None:
    draft = Draft()
    draft.open(FOUND)
    draft.add(" ")
    assert draft.close() is None
    assert draft.close() is None
    assert draft.citations == []
    assert draft.passages == [FOUND]


def test_a_cited_sentence_right_after_another_gets_a_space_and_offsets_count_it() -> None:
    draft = Draft()
    for _ in range(2):
        draft.open(FOUND)
        draft.add("It is")
        assert draft.add(" lit.") == " lit."
        draft.close()
    draft.add("Later")
    assert draft.text == "It is lit. It is lit.Later"  # Gen itself writes what is not cited
    assert [(citation.start, citation.end) for citation in draft.citations] == [(0, 10), (11, 21)]


def test_a_cited_span_within_a_sentence_is_left_as_it_is() -> None:
    draft = Draft()
    draft.add("Lamp no.")
    draft.open(FOUND)
    draft.add("-")
    draft.add("7")
    draft.close()
    draft.add(" and un")
    draft.open(FOUND)
    draft.add("lit")
    assert draft.text == "Lamp no.-7 and unlit"


def test_a_passage_used_twice_is_listed_once() -> None:
    draft = Draft()
    for _ in range(2):
        draft.open(FOUND)
        draft.add("It is lit. ")
        draft.close()
    assert draft.passages == [FOUND]
    assert [(citation.start, citation.end) for citation in draft.citations] == [(0, 10), (11, 21)]
