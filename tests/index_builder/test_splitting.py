"""Splitting: sentence ends, the limit in words or in a pair's tokens, overlap, nothing lost."""

import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from index_builder.documents import Block, Section
from index_builder.pair_tokens import by_tokens
from index_builder.splitting import Piece, Splitter, by_words, count_words
from semiparametric.control import encode_text
from semiparametric.errors import InputError, PairError
from semiparametric.pair import load_embseq, load_gen, read_spec
from tests.conftest import tiny_tokenizer
from tests.pair_kinds import save_pair_of
from tests.semiparametric.tokenizer_kinds import bert_tokenizer, gpt2_tokenizer, unigram_tokenizer


def split(text: str, passage_words: int, *, verbatim: bool = False) -> list[str]:
    return [piece.text for piece in by_words(passage_words).split(Section("T", (Block(text, verbatim),)))]


def test_a_passage_ends_where_a_sentence_ends() -> None:
    text = "Dr. Ames trims the lamp, e.g. at dusk. He rests! Is it 3.5 m high? It is. The end comes late."
    assert split(text, 12) == [
        "Dr. Ames trims the lamp, e.g. at dusk. He rests!",
        "Is it 3.5 m high? It is. The end comes late.",
    ]


def test_parts_of_a_section_are_of_similar_length() -> None:
    text = " ".join(f"Sentence number {n} has six words." for n in range(21))  # 126 words
    assert [count_words(part) for part in split(text, 120)] == [66, 60]


def test_only_a_sentence_beyond_the_limit_is_cut_and_between_words() -> None:
    text = "Short one. " + " ".join(f"w{n}" for n in range(25)) + ". Short two."
    parts = split(text, 10)
    assert all(count_words(part) <= 10 for part in parts)
    assert " ".join(parts).split() == text.split()


def test_code_is_cut_between_lines_only() -> None:
    code = "\n".join(f"    call({n}). then({n})" for n in range(10))
    parts = split(code, 7, verbatim=True)
    assert "\n".join(part.strip() for part in parts).split() == code.split()
    assert all(line.strip().startswith("call(") for part in parts for line in part.splitlines())


def test_scripts_without_spaces_are_counted_by_character() -> None:
    text = "灯台守は夕暮れに灯を点す。" * 20
    parts = split(text, 60)
    assert "".join(parts) == text
    assert all(part.endswith("。") and count_words(part) <= 60 for part in parts)


@settings(deadline=None)
@given(text=st.text(alphabet=st.sampled_from("ab .!?\n\t(\"'é灯。1"), max_size=300), limit=st.integers(1, 12))
def test_no_text_is_lost_and_no_limit_exceeded(text: str, limit: int) -> None:
    parts = split(text, limit)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(1 <= count_words(part) <= limit for part in parts)


TALE = " ".join(f"Ann {n} lit it{' and sang' * (n % 4)}." for n in range(40))


def pieces(splitter: Splitter, text: str, title: str = "Lamp") -> list[Piece]:
    return splitter.split(Section(title, (Block(text),)))


@pytest.mark.parametrize("limit", [24, 40, None])
def test_a_pair_reads_each_passage_whole_with_its_title(tiny_pair: Path, limit: int | None) -> None:
    embseq, gen = load_embseq(tiny_pair), load_gen(tiny_pair)
    found = pieces(by_tokens(tiny_pair, limit), TALE)
    shown = [embseq.spec.passage.render(piece.title, piece.text) for piece in found]
    lengths = [len(embseq.tokenizer(text).input_ids) for text in shown]
    assert max(lengths) <= (limit or embseq.spec.passage.max_tokens)
    assert max(len(encode_text(gen.tokenizer, text)) for text in shown) <= embseq.spec.passage.max_tokens
    assert " ".join(piece.text for piece in found).split() == TALE.split()
    assert {piece.title for piece in found} == {"Lamp"}


def test_passages_in_tokens_end_where_sentences_end_and_fill_their_room(tiny_pair: Path) -> None:
    splitter = by_tokens(tiny_pair)
    found = pieces(splitter, TALE)
    assert all(piece.text.endswith(".") for piece in found)
    sizes = splitter.count([splitter.form(piece.title, piece.text) for piece in found])
    sentence = max(splitter.count(TALE.split(". ")))
    assert min(sizes[:-1]) + 2 * sentence > splitter.limit


@settings(deadline=None, max_examples=50)
@given(
    text=st.text(alphabet=st.sampled_from("ab .!?\n\t(\"'\u00e9\u706f\u3002\U0001f3051"), max_size=400),
    title=st.text(alphabet=st.sampled_from("Lamp > \u706f"), max_size=120),
    limit=st.integers(16, 64),
)
def test_no_text_is_lost_and_nothing_cut_off_in_tokens(tiny_pair: Path, text: str, title: str, limit: int) -> None:
    splitter = by_tokens(tiny_pair, limit)
    found = pieces(splitter, text, title)
    assert "".join("".join(piece.text for piece in found).split()) == "".join(text.split())
    sizes = splitter.count([splitter.form(piece.title, piece.text) for piece in found])
    assert all(size <= splitter.limit for size in sizes)


def test_tokenizers_that_join_differently_than_they_split_cut_nothing_off() -> None:
    def count(texts: object) -> list[int]:
        assert isinstance(texts, list)
        return [len(text.split()) + 3 * text.count(". ") for text in texts]  # whole texts are longer than their parts

    splitter = Splitter(30, count)
    found = pieces(splitter, "One two three four. " * 50)
    assert all(size <= 30 for size in count([piece.text for piece in found]))
    assert sum(count_words(piece.text) for piece in found) == 200


def test_a_word_longer_than_a_passage_is_cut_between_characters(tiny_pair: Path) -> None:
    word = "Q\u00e9" * 3000
    found = pieces(by_tokens(tiny_pair, 32), f"Before. {word} After.")
    assert "".join("".join(piece.text for piece in found).split()) == f"Before.{word}After."


def test_a_title_longer_than_half_a_passage_is_cut_between_words(tiny_pair: Path) -> None:
    title = " ".join(f"chapter {n}" for n in range(500))
    splitter = by_tokens(tiny_pair, 40)
    (piece,) = pieces(splitter, "The lamp.", title)
    assert title.startswith(piece.title + " ")
    assert splitter.limit // 4 < splitter.count([splitter.form(piece.title, "")])[0] <= splitter.limit // 2
    assert pieces(by_words(10), "The lamp.", title)[0].title == title


@pytest.mark.parametrize("overlap", [6, 12, 30])
def test_overlap_repeats_whole_sentences_from_the_end_of_the_passage_before(overlap: int) -> None:
    sentences = [f"Sentence number {n} has six words." for n in range(40)]
    found = [piece.text for piece in pieces(by_words(60, overlap), " ".join(sentences))]
    for before, after in pairwise(found):
        repeated = [sentence for sentence in sentences if sentence in before and sentence in after]
        assert len(repeated) == overlap // 6
        assert before.endswith(" ".join(repeated))
        assert after.startswith(" ".join(repeated))
    assert all(count_words(text) <= 60 for text in found)
    assert all(any(sentence in text for text in found) for sentence in sentences)


def test_a_sentence_longer_than_the_overlap_is_not_repeated() -> None:
    found = [piece.text for piece in pieces(by_words(20, 5), "Here are some words that go on and on. " * 6)]
    assert sum(map(count_words, found)) == 54


def test_passages_know_the_page_that_they_begin_on() -> None:
    blocks = (Block("One two three. Four five six.", page=1), Block("Seven eight nine.", page=2))
    assert [(piece.text, piece.page) for piece in by_words(3).split(Section("T", blocks))] == [
        ("One two three.", 1),
        ("Four five six.", 1),
        ("Seven eight nine.", 2),
    ]


@pytest.mark.parametrize("make", [gpt2_tokenizer, bert_tokenizer, unigram_tokenizer])
@pytest.mark.parametrize("folder", ["embseq", "gen"])
def test_neither_embseq_nor_gen_of_another_tokenizer_cuts_a_passage_off(
    tiny_pair: Path, tmp_path: Path, make: Callable[[], PreTrainedTokenizerBase], folder: str
) -> None:
    for name in ("gen", "embseq"):
        (make() if name == folder else tiny_tokenizer()).save_pretrained(tmp_path / name)
    shutil.copy(tiny_pair / "pair.json", tmp_path)
    spec = read_spec(tmp_path)
    found = pieces(by_tokens(tmp_path), TALE + " Unspeakably-long-words ØÆÅ. " * 9)
    shown = [spec.passage.render(piece.title, piece.text) for piece in found]
    embseq, gen = (AutoTokenizer.from_pretrained(tmp_path / name) for name in ("embseq", "gen"))
    assert max(len(embseq(text).input_ids) for text in shown) <= spec.passage.max_tokens
    assert max(len(encode_text(gen, text)) for text in shown) <= spec.passage.max_tokens


@pytest.mark.parametrize("kind", ["plain", "shared"])
def test_both_tokenizers_of_a_pair_are_asked(tmp_path: Path, kind: str) -> None:
    save_pair_of(tmp_path / "pair", kind)  # type: ignore[arg-type]
    assert by_tokens(tmp_path / "pair").count(["The lamp.", ""])[1] == 0


def test_limits_beyond_what_a_pair_reads_are_refused(tiny_pair: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"passage_tokens: the pair reads 64 tokens .* Choose 64 at most"):
        by_tokens(tiny_pair, 65)
    with pytest.raises(InputError, match=r"overlap_tokens: 33 tokens are more than half a passage of 64. Choose 32"):
        by_tokens(tiny_pair, overlap=33)
    with pytest.raises(PairError, match="not a pair"):
        by_tokens(tmp_path)
