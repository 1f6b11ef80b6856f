"""Sets of questions in the formats of the field: the design's examples, KILT's task files, ALCE's and the paper's."""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import AliasChoices, Field

from evaluation.questions import Question, question_of
from evaluation.settings import DatasetSettings
from semiparametric.errors import InputError
from semiparametric.formats import SourceRecord, checked, content_id, read_examples
from semiparametric.json_values import json_values

_MARKS = re.compile(r"\s*\[\d+\]")


def read_questions(name: str, settings: DatasetSettings) -> list[Question]:
    """The questions of a set, at most `limit`, each id once.

    Raises:
        InputError: A file is missing or wrong, an id stands twice, a question has no gold although its format has to,
            or a question has no candidates although they were asked for; file and record are named.
    """
    if settings.candidates == "docs" and settings.format != "alce":
        raise InputError(
            f"the format {settings.format} has no docs in its records",
            where=f"datasets.{name}.candidates",
            remedy="Name a file with an id and candidates on each line",
        )
    questions = _unique(_READERS[settings.format](settings), settings.file)
    if not questions:
        raise InputError("holds no questions", where=str(settings.file))
    if settings.candidates not in (None, "docs"):
        questions = _with_candidates(questions, Path(str(settings.candidates)))
    return _sample(questions, settings.limit)


def _sample(questions: list[Question], limit: int | None) -> list[Question]:
    """In an order of their own that is always the same, so that a larger limit only adds questions."""
    if limit is None or limit >= len(questions):
        return questions
    shuffled = list(questions)
    random.Random(0).shuffle(shuffled)  # noqa: S311 - a sample, not a secret
    return shuffled[:limit]


def _unique(found: Iterator[tuple[str, Question]], path: Path) -> list[Question]:
    first: dict[str, str] = {}
    questions = []
    for where, question in found:
        if question.id in first:
            raise InputError(
                f"the id {question.id!r} stands at {first[question.id]} already",
                where=where,
                remedy="Every id may occur once",
            )
        first[question.id] = where.removeprefix(f"{path}, ")
        questions.append(question)
    return questions


def _examples(settings: DatasetSettings) -> Iterator[tuple[str, Question]]:
    for number, example in enumerate(read_examples(settings.file), start=1):
        yield f"{settings.file}, line {number}", question_of(example, settings.not_answers)


class _Provenance(SourceRecord):
    wikipedia_id: str | None = None
    start_paragraph_id: int | None = None
    end_paragraph_id: int | None = None


class _Output(SourceRecord):
    answer: str | None = None
    provenance: list[_Provenance] | None = None


class _KiltRecord(SourceRecord):
    id: str = Field(min_length=1)
    input: str = Field(min_length=1)
    output: list[_Output] = Field(default_factory=list)


def _kilt(settings: DatasetSettings) -> Iterator[tuple[str, Question]]:
    for where, value in json_values(settings.file):
        record = checked(value, _KiltRecord, where)
        answers = [output.answer.strip() for output in record.output if output.answer and output.answer.strip()]
        if not answers:
            raise InputError(
                f"the question {record.id!r} has no gold answer",
                where=f"{where}, field output",
                remedy="Take the train or dev file: KILT keeps the gold of its test files to itself",
            )
        sets = tuple(
            frozenset(one.wikipedia_id.strip() for one in output.provenance if one.wikipedia_id)
            for output in record.output
            if output.provenance is not None
        )
        places = [one for output in record.output for one in output.provenance or []]
        yield (
            where,
            Question(
                id=record.id,
                text=record.input,
                task=settings.file.name.split("-")[0],
                references=tuple(dict.fromkeys(answers)),
                evidence=sets if any(sets) else (),
                names="page",
                gold_passages=tuple(dict.fromkeys(name for place in places for name in _paragraphs(place))),
            ),
        )


def _paragraphs(place: _Provenance) -> list[str]:
    """Ids of the paragraphs that a provenance names, as `cosup index` reads KILT's knowledge source."""
    start, end = place.start_paragraph_id, place.end_paragraph_id
    if place.wikipedia_id is None or start is None:
        return []
    return [f"{place.wikipedia_id}-{number}" for number in range(start, max(start, end or start) + 1)]


class _Document(SourceRecord):
    id: str | None = None
    title: str = ""
    text: str = ""

    @property
    def passage_id(self) -> str:
        """As `cosup index` names the document: by what it says where it has no id."""
        return self.id or content_id("alce", self.title.strip(), self.text.strip())


class _ShortAnswers(SourceRecord):
    short_answers: list[str] = Field(default_factory=list)


class _AlceRecord(SourceRecord):
    id: str | None = Field(default=None, validation_alias=AliasChoices("sample_id", "id"))
    question: str = Field(min_length=1)
    answer: str | None = None
    answers: list[list[str] | str] = Field(default_factory=list)
    qa_pairs: list[_ShortAnswers] | None = None
    claims: list[str] | None = None
    docs: list[_Document] = Field(default_factory=list)
    gold_docs: list[_Document | str] = Field(default_factory=list)


def _alce(settings: DatasetSettings) -> Iterator[tuple[str, Question]]:
    for number, (where, value) in enumerate(json_values(settings.file), start=1):
        record = checked(value, _AlceRecord, where)
        gold = tuple(one if isinstance(one, str) else one.passage_id for one in record.gold_docs)
        long = _MARKS.sub("", record.answer or "").strip()
        flat = [answer for answer in record.answers if isinstance(answer, str) and answer.strip()]
        question = Question(
            id=record.id or f"{settings.file.name.split('.')[0]}-{number}",
            text=record.question,
            task=settings.file.name.split(".")[0],
            references=tuple(dict.fromkeys(flat or ([long] if long else []))),
            evidence=(frozenset(gold),) if gold else (),
            gold_passages=gold,
            parts=tuple(tuple(pair.short_answers) for pair in record.qa_pairs or []),
            listed=tuple(tuple(answer) for answer in record.answers if isinstance(answer, list)),
            claims=tuple(record.claims or ()),
            candidates=_documents(record, where) if settings.candidates == "docs" else None,
        )
        if not question.is_answerable:
            raise InputError(
                f"the question {question.id!r} has no answers, qa_pairs or claims, so nothing can be scored",
                where=where,
                remedy="Take a file with gold answers",
            )
        yield where, question


def _documents(record: _AlceRecord, where: str) -> tuple[str, ...]:
    ids = tuple(dict.fromkeys(one.passage_id for one in record.docs if one.text.strip()))
    if not ids:
        raise InputError("has no docs to choose from", where=f"{where}, field docs", remedy="Search the whole index")
    return ids


class _Candidates(SourceRecord):
    id: str
    candidates: list[str] = Field(default_factory=list)
    docs: list[_Document] = Field(default_factory=list, validation_alias=AliasChoices("docs", "ctxs"))


def _with_candidates(questions: list[Question], path: Path) -> list[Question]:
    known: dict[str, tuple[str, ...]] = {}
    for where, value in json_values(path):
        record = checked(value, _Candidates, where)
        known[record.id] = tuple(dict.fromkeys([*record.candidates, *(one.passage_id for one in record.docs)]))
    for question in questions:
        if not known.get(question.id):
            raise InputError(
                f"names no candidates for the question {question.id!r}",
                where=str(path),
                remedy="It holds an `id` and `candidates` (passage ids) or `docs` for each question",
            )
    return [replace(question, candidates=known[question.id]) for question in questions]


_READERS: Mapping[str, Callable[[DatasetSettings], Iterator[tuple[str, Question]]]] = {
    "examples": _examples,
    "kilt": _kilt,
    "alce": _alce,
}
