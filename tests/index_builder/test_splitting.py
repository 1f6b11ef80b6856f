"""Splitting: sentence ends, the limit, nothing lost."""

from hypothesis import given, settings
from hypothesis import strategies as st

from index_builder.documents import Block, Section
from index_builder.splitting import by_words, count_words


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
