"""What each system is asked: the pair itself, and what a user would pick instead, with the same Gen and questions.

A baseline's passage reaches Gen as a looked-up one does: it is the only candidate of a forced lookup. So all answers
are read from the same prompt form, and differ only in which passage stands there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from evaluation.bm25 import Bm25, Ranked
from evaluation.dense import Dense
from evaluation.predictions import Found, page_of
from evaluation.questions import Question
from evaluation.settings import DatasetSettings, Decoding, EvalSettings, System
from semiparametric.errors import InputError
from semiparametric.formats import Passage, read_passages
from semiparametric.store.reader import Store
from service.local import Ask


@dataclass(frozen=True)
class Asked:
    """A question as one system is asked it.

    found: the ranking that was made before Gen was asked; None where Gen looks up itself, or nobody does.
    """

    dataset: str
    system: System
    question: Question
    ask: Ask
    found: list[Found] | None = None


class Ranker(Protocol):
    """Looks questions up by other means than a pair."""

    def rank(self, questions: Sequence[str], top_k: int) -> list[Ranked]:
        """The first passages of each question, of all."""
        ...

    def rank_among(self, question: str, candidates: Sequence[str], top_k: int) -> Ranked:
        """The first passages of one question, of some."""
        ...


class Asker:
    """Makes the asks of one set.

    Args:
        name: The set's.
        settings: The evaluation's.
    """

    def __init__(self, name: str, settings: EvalSettings) -> None:
        self._name = name
        self._settings = settings
        self._dataset: DatasetSettings = settings.datasets[name]

    def askable(self, system: System, questions: Sequence[Question]) -> list[Question]:
        """The questions that a system can be asked: all, of `oracle` those whose gold passage the corpus has."""
        return [one for one in questions if self._gold(one)] if system == "oracle" else list(questions)

    def asks(self, system: System, questions: Sequence[Question]) -> list[Asked]:
        """How one system is asked questions that it can be asked.

        Raises:
            InputError: The corpus cannot be read.
            CosupError: A library is missing.
        """
        if not questions:
            return []
        if system == "pair":
            return [self._of(system, one, self._ask(one, candidates=one.candidates)) for one in questions]
        if system == "closed-book":
            return [self._of(system, one, self._ask(one, top_k=0, retrieval="never")) for one in questions]
        if system == "oracle":
            return [self._oracle(one) for one in questions]
        rankings = self._rank(self._ranker(system), questions)
        return [self._read(system, one, ranked) for one, ranked in zip(questions, rankings, strict=True)]

    @cached_property
    def passages(self) -> list[Passage]:
        """All passages that can be looked up: those of the index, or of the corpus where a service is asked."""
        if self._settings.url is None:
            with Store.open(self._settings.index_of(self._name)) as store:
                rows = store.passages(0, int(store.live_rows()[-1]) + 1 if len(store) else 0)
            return [row.passage for row in rows if row.live]
        if self._dataset.corpus is None:
            raise InputError(
                "which passages there are is not known", where=f"datasets.{self._name}.corpus", remedy="Name the corpus"
            )
        return list(read_passages(self._dataset.corpus))

    def _of(self, system: System, question: Question, ask: Ask, found: list[Found] | None = None) -> Asked:
        return Asked(self._name, system, question, ask, found)

    def _ask(
        self,
        question: Question,
        *,
        top_k: int | None = None,
        candidates: Sequence[str] | None = None,
        retrieval: str | None = None,
        max_retrievals: int | None = None,
    ) -> Ask:
        decoding: Decoding = self._settings.decoding
        limits = {"retrieval": retrieval, "max_retrievals": max_retrievals}
        changed = decoding.model_copy(update={name: value for name, value in limits.items() if value is not None})
        return Ask(
            question.text,
            top_k=self._settings.top_k if top_k is None else top_k,
            candidates=candidates,
            instruction=self._dataset.instruction,
            **changed.model_dump(),
        )

    def _read(self, system: System, question: Question, ranked: Ranked) -> Asked:
        """The best passage of a ranking is put before Gen."""
        best = [name for name, _ in ranked[:1]]
        ask = self._ask(question, top_k=0, candidates=best, retrieval="first", max_retrievals=1)
        if not best:
            ask = self._ask(question, top_k=0, retrieval="never")
        found = [Found(id=name, score=score, page=page_of(self._by_id[name].metadata)) for name, score in ranked]
        return self._of(system, question, ask, found)

    def _rank(self, ranker: Ranker, questions: Sequence[Question]) -> list[Ranked]:
        top_k = self._settings.top_k
        if all(question.candidates is None for question in questions):
            return ranker.rank([question.text for question in questions], top_k)
        return [ranker.rank_among(question.text, question.candidates or (), top_k) for question in questions]

    def _ranker(self, system: System) -> Ranker:
        if system == "bm25":
            return Bm25(self.passages)
        keep = self._settings.out / "vectors"
        return Dense(self._settings.dense or "", self.passages, keep=keep, device=self._settings.device)

    def _oracle(self, question: Question) -> Asked:
        """Gen may look up the gold passages and no others, as often as there are any."""
        gold = self._gold(question)
        most = min(len(gold), max(1, self._settings.decoding.max_retrievals))
        ask = self._ask(question, top_k=0, candidates=gold, retrieval="first", max_retrievals=most)
        return self._of("oracle", question, ask)

    def _gold(self, question: Question) -> list[str]:
        """Gold passages that there are; where only pages are known, all passages of the first set of them."""
        gold = [name for name in question.gold_passages if name in self._by_id]
        if gold or question.names == "passage" or not question.evidence:
            return gold
        pages = next(names for names in question.evidence if names)
        return [name for page in sorted(pages) for name in self._by_page.get(page, [])]

    @cached_property
    def _by_id(self) -> dict[str, Passage]:
        return {passage.id: passage for passage in self.passages}

    @cached_property
    def _by_page(self) -> dict[str, list[str]]:
        pages: dict[str, list[str]] = {}
        for passage in self.passages:
            pages.setdefault(page_of(passage.metadata) or "", []).append(passage.id)
        return pages
