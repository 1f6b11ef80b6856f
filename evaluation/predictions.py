"""What a system did with a question, as it stands on a line of `predictions.jsonl`."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from evaluation.questions import PAGE_FIELD, Question
from semiparametric.formats import Scalar
from service.local import Reply

UNSAID = "-"
"""Stands for what a record does not say, or not yet."""

_RECORD = ConfigDict(extra="forbid", frozen=True)


class Cited(BaseModel):
    """`answer[start:end]`, in code points, is cited to a passage."""

    model_config = _RECORD

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    passage_id: str


class Read(BaseModel):
    """A passage that the answer looked up."""

    model_config = _RECORD

    id: str
    title: str = ""
    text: str = ""
    page: str | None = Field(default=None, description="The Wikipedia page that it stands on, where it says so.")
    score: float | None = None


class Found(BaseModel):
    """A passage of the ranking that was made for the question."""

    model_config = _RECORD

    id: str
    score: float
    page: str | None = None


class Prediction(BaseModel):
    """One question, asked of one system.

    `answer` is None where the system did not answer: it was only asked to look up, or `refusal` says why it could not.
    """

    model_config = _RECORD

    dataset: str
    system: str
    id: str = Field(min_length=1, description="The question's.")
    answer: str | None = None
    citations: list[Cited] = Field(default_factory=list)
    passages: list[Read] = Field(default_factory=list, description="In the order of first use.")
    found: list[Found] | None = Field(default=None, description="Best first; null where nothing was looked up.")
    refusal: str | None = None
    finish_reason: str = ""
    seconds: float = Field(default=0.0, description="From the start of the answer to its end.")


def page_of(metadata: Mapping[str, Scalar]) -> str | None:
    """The page that a passage stands on, as its metadata say."""
    page = metadata.get(PAGE_FIELD)
    return None if page is None else str(page)


def names_of(question: Question, passages: Iterable[Read] | Iterable[Found]) -> list[str]:
    """What evidence would call these passages; one that names no page is called by its id."""
    if question.names == "passage":
        return [one.id for one in passages]
    return [one.page or one.id for one in passages]


def prediction_of(reply: Reply, **known: Any) -> Prediction:
    """A local reply as a record; `known` are the fields that the reply does not hold."""
    found = None
    if reply.found is not None:
        found = [Found(id=one.passage.id, score=one.score, page=page_of(one.passage.metadata)) for one in reply.found]
    said: dict[str, Any] = {"found": found, "refusal": reply.refusal}
    answer = reply.answer
    if answer is not None:
        said |= {
            "answer": answer.text,
            "citations": [
                Cited(**{name: value for name, value in asdict(one).items() if name in Cited.model_fields})
                for one in answer.citations
            ],
            "passages": [
                Read(
                    id=used.passage.id,
                    title=used.passage.title,
                    text=used.passage.text,
                    page=page_of(used.passage.metadata),
                    score=used.score,
                )
                for used in answer.passages
            ],
            "finish_reason": answer.finish_reason,
            "seconds": round(answer.timings.total, 4),
        }
    return Prediction(**(said | known))
