"""Answers made elsewhere: a `predictions.jsonl`, a KILT submission, or ALCE's results, as predictions of a system."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import AliasChoices, Field

from evaluation.metrics.marks import first_line, marked_answer
from evaluation.predictions import UNSAID, Cited, Found, Prediction, Read
from evaluation.questions import Question
from semiparametric.errors import InputError
from semiparametric.formats import SourceRecord, checked
from semiparametric.json_values import first_character, json_values
from semiparametric.lines import raw_lines


class _Page(SourceRecord):
    wikipedia_id: str | None = None


class _Output(SourceRecord):
    answer: str = ""
    provenance: list[_Page] = Field(default_factory=list)


class _Guess(SourceRecord):
    id: str = Field(min_length=1)
    output: list[_Output] = Field(min_length=1, max_length=1)


class _Document(SourceRecord):
    title: str = ""
    text: str


class _Result(SourceRecord):
    id: str | None = Field(default=None, validation_alias=AliasChoices("sample_id", "id"))
    question: str
    output: str
    docs: list[_Document] = Field(default_factory=list)


def read_submission(path: Path, dataset: str, system: str, questions: Sequence[Question]) -> list[Prediction]:
    """The predictions of a file for the questions of a set, in their order.

    A record of ours is told by its `dataset`; of several systems in one file, only one may answer each question.

    Raises:
        InputError: A record is wrong, names a question that does not exist, or one twice; or a question has none.
    """
    known = {question.id for question in questions}
    found: dict[str, Prediction] = {}
    for where, prediction in _records(path, questions):
        if prediction.dataset not in (dataset, UNSAID):
            continue
        _check_id(prediction.id, known, found.keys(), dataset, where)
        found[prediction.id] = prediction.model_copy(update={"dataset": dataset, "system": system})
    missing = [question.id for question in questions if question.id not in found]
    if missing:
        raise InputError(
            f"has no prediction for {len(missing)} of {len(questions)} questions, the first {missing[0]!r}",
            where=str(path),
            remedy="Predict each question; an empty answer counts as wrong",
        )
    return [found[question.id] for question in questions]


def _records(path: Path, questions: Sequence[Question]) -> Iterator[tuple[str, Prediction]]:
    is_alce = first_character(path) == "{" and _has_data(path)
    for number, (where, value) in enumerate(json_values(path, "data" if is_alce else None)):
        if is_alce:
            yield where, _of_result(checked(value, _Result, where), number, questions, where)
        elif isinstance(value, dict) and "dataset" in value:
            yield where, checked(value, Prediction, where)
        else:
            yield where, _of_guess(checked(value, _Guess, where))


def _has_data(path: Path) -> bool:
    """Whether a file is one object over several lines, as ALCE's results are, or its first line is that object."""
    first = next(raw_lines(path))[1]
    try:
        return "data" in json.loads(first)
    except json.JSONDecodeError:
        return True


def _check_id(name: str, known: Iterable[str], found: Iterable[str], dataset: str, where: str) -> None:
    if name not in known:
        raise InputError(
            f"the set {dataset} has no question {name!r}", where=where, remedy="Give the predictions of this very file"
        )
    if name in found:
        raise InputError(f"the question {name!r} has a prediction already", where=where, remedy="Each may have one")


def _of_guess(guess: _Guess) -> Prediction:
    """KILT's provenance names pages, best first; they stand as the ranking of the question."""
    output = guess.output[0]
    pages = [one.wikipedia_id.strip() for one in output.provenance if one.wikipedia_id]
    found = [Found(id=page, page=page, score=-float(rank)) for rank, page in enumerate(pages, start=1)]
    return Prediction(dataset=UNSAID, system=UNSAID, id=guess.id, answer=output.answer, found=found)


def _of_result(result: _Result, number: int, questions: Sequence[Question], where: str) -> Prediction:
    """ALCE's results often carry no ids; then they stand in the order of the questions, which is checked."""
    name = result.id
    if name is None:
        if number >= len(questions) or questions[number].text != result.question:
            raise InputError(
                f"the question {result.question!r} is not the one that stands there in the set",
                where=where,
                remedy="Results without ids stand in the order of their questions, all of them",
            )
        name = questions[number].id
    answer, marked = marked_answer(first_line(result.output), len(result.docs))
    return Prediction(
        dataset=UNSAID,
        system=UNSAID,
        id=name,
        answer=answer,
        citations=[Cited(start=one.start, end=one.end, passage_id=str(one.place)) for one in marked],
        passages=[Read(id=str(place), title=one.title, text=one.text) for place, one in enumerate(result.docs)],
    )
