"""How an answer looks on a terminal."""

import pytest

from service import examples
from service.schemas import CitationResult, GenerateResponse
from service.terminal import AnswerWriter, cited_passages, printable, write_answer


def response(answer: str, *cited: tuple[int, int, str]) -> GenerateResponse:
    """The documented example with another answer; citations are (start, end, passage id)."""
    example = GenerateResponse.model_validate(examples.ANSWER)
    [passage] = example.passages
    citations = [
        CitationResult(start=start, end=end, passage_id=name, score=0.5, probability=0.5) for start, end, name in cited
    ]
    passages = [passage.model_copy(update={"id": name}) for name in dict.fromkeys(name for *_, name in cited)]
    return example.model_copy(update={"answer": answer, "citations": citations, "passages": passages})


def written(answer: GenerateResponse) -> str:
    pieces: list[str] = []
    write_answer(answer, pieces.append)
    return "".join(pieces).replace("\x1b[36m\x1b[1m", "").replace("\x1b[0m", "")


def test_marks_number_passages_as_they_are_first_cited() -> None:
    answer = response("One two one.", (0, 3, "b"), (4, 7, "a"), (8, 12, "b"))
    assert written(answer) == "One [1] two [2] one. [1]"
    blocks = cited_passages(answer)
    assert blocks.index("    b, Lib/json") < blocks.index("    a, Lib/json")


def test_a_mark_stands_right_behind_its_words_however_the_pieces_come() -> None:
    pieces: list[str] = []
    writer = AnswerWriter(pieces.append)
    for text in ("It ", "is", " key 7", ". \n"):
        writer.token(text)
    writer.citation("keys")
    writer.token("Good")
    assert "".join(pieces).startswith("It is key 7.")
    assert "".join(pieces).endswith(" \nGood")
    assert pieces.index(". \n".strip()) + 1 == next(i for i, piece in enumerate(pieces) if "[1]" in piece)


def test_an_answer_without_citations_has_no_marks_and_no_passages() -> None:
    answer = response("Nothing is cited [here].")
    assert written(answer) == "Nothing is cited [here]."
    assert cited_passages(answer) == ""


def test_a_passage_is_shown_with_title_score_place_and_wrapped_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    answer = response("Short.", (0, 6, "long"))
    [passage] = answer.passages
    long = passage.model_copy(update={"text": "  code stays\n" + "word " * 30, "source": None})
    lines = cited_passages(answer.model_copy(update={"passages": [long]})).splitlines()
    assert lines[0].endswith("json.dumps(obj, ...)  (score 0.830)")
    assert lines[1:3] == ["    long", "      code stays"]
    assert max(len(line) for line in lines[1:]) <= 40
    assert " ".join(lines[3:]).split() == ["word"] * 30


def test_control_characters_never_reach_the_terminal() -> None:
    assert (
        printable("\x1b[2Jred\x07 \u202etfel\r\n\ttab é 灯 7\u00a0kg 👩\u200d🚀")
        == "[2Jred tfel\n\ttab é 灯 7\u00a0kg 👩\u200d🚀"
    )
