"""Self-RAG's training data: answers with retrieved paragraphs and reflection tokens inside."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, Segment
from training.examples.converters.converted import Converted, content_passage
from training.examples.converters.records import SourceRecord, read_records
from training.examples.settings import ConvertSettings

_TOKENS = (
    "[Retrieval]",
    "[No Retrieval]",
    "[Continue to Use Evidence]",
    "[Relevant]",
    "[Irrelevant]",
    "[Fully supported]",
    "[Partially supported]",
    "[No support / Contradictory]",
)
_PIECE = re.compile(
    r"<paragraph>(?P<paragraph>.*?)</paragraph>|(?P<token>"
    + "|".join(re.escape(token) for token in _TOKENS)
    + r")|\[Utility:(?P<utility>[1-5])\]",
    re.DOTALL,
)
_SUPPORT = {"[Fully supported]": 2, "[Partially supported]": 1, "[No support / Contradictory]": 0}
_LEAST = {"fully": 2, "partially": 1}


class _Record(SourceRecord):
    id: str | None = None
    dataset_name: str = "self-rag"
    instruction: str
    input: str | None = None
    output: str


@dataclass
class _Stretch:
    """Text between two decisions to retrieve, with what was retrieved for it and how it was judged."""

    passage: Passage | None = None
    relevant: bool = True
    support: int | None = None
    text: str = ""


@dataclass
class _Answer:
    stretches: list[_Stretch] = field(default_factory=lambda: [_Stretch()])
    passages: list[Passage] = field(default_factory=list)
    utility: int | None = None


def convert_self_rag(path: Path, settings: ConvertSettings) -> Iterator[Converted]:
    """One example for each record; its paragraphs become passages, named by what they say.

    A stretch of the answer is cited from its paragraph where that was judged relevant, and the stretch supported by it.
    Any other text is plain. Reflection tokens leave no trace in the text.

    Raises:
        InputError: A record lacks a field, or a `<paragraph>` does not end.
    """
    for where, record in read_records(path, _Record):
        answer = _parsed(record.output, f"{where}, field output")
        passages = tuple(answer.passages)
        segments = _segments(answer, _LEAST[settings.min_support])
        question = "\n\n".join(part.strip() for part in (record.instruction, record.input) if part and part.strip())
        if not question or not segments:
            yield Converted(passages=passages, left_out="blank question" if not question else "empty answer")
        elif answer.utility is not None and answer.utility < settings.min_utility:
            yield Converted(passages=passages, left_out=f"utility under {settings.min_utility}")
        else:
            name = record.id or f"{path.name.split('.')[0]}-{where.rsplit(' ', 1)[1]}"
            example = Example(
                id=name,
                task=settings.task or record.dataset_name,
                question=question,
                answers=[" ".join(segment.text for segment in segments)],
                segments=segments,
            )
            yield Converted(example, passages)


def _parsed(output: str, where: str) -> _Answer:
    answer = _Answer()
    end = 0
    for piece in _PIECE.finditer(output):
        _add_text(answer, output[end : piece.start()], where)
        end = piece.end()
        if piece["paragraph"] is not None:
            _add_paragraph(answer, piece["paragraph"])
        elif piece["utility"]:
            answer.utility = int(piece["utility"])
        else:
            _judge(answer, piece["token"])
    _add_text(answer, output[end:], where)
    return answer


def _add_text(answer: _Answer, text: str, where: str) -> None:
    for tag, other in (("<paragraph>", "</paragraph>"), ("</paragraph>", "<paragraph>")):
        if tag in text:
            raise InputError(f"a {tag} has no {other}", where=where, remedy="Paragraphs stand between both")
    answer.stretches[-1].text += text


def _add_paragraph(answer: _Answer, paragraph: str) -> None:
    """A paragraph is its title on a line of its own, then its text; without a line end it is text alone."""
    title, line_end, text = paragraph.strip().partition("\n")
    passage = content_passage("self-rag", title if line_end else "", text if line_end else title)
    if passage is not None:
        answer.passages.append(passage)
    answer.stretches.append(_Stretch(passage))


def _judge(answer: _Answer, token: str) -> None:
    now = answer.stretches[-1]
    if token in _SUPPORT:
        # A stretch that goes on with the same evidence is judged again: it counts by its worst part.
        now.support = _SUPPORT[token] if now.support is None else min(now.support, _SUPPORT[token])
    elif token == "[Irrelevant]":
        now.relevant = False
    elif token in {"[Retrieval]", "[No Retrieval]"} and (now.text.strip() or now.passage):
        answer.stretches.append(_Stretch())


def _segments(answer: _Answer, least_support: int) -> list[Segment]:
    """Segments in order, neighbouring plain stretches joined."""
    segments: list[Segment] = []
    for stretch in answer.stretches:
        text = stretch.text.strip()
        if not text:
            continue
        supported = stretch.support is None or stretch.support >= least_support
        cited = stretch.passage.id if stretch.passage and stretch.relevant and supported else None
        if cited is None and segments and segments[-1].passage_id is None:
            text = f"{segments.pop().text} {text}"
        segments.append(Segment(text=text, passage_id=cited))
    return segments
