"""What the sets are, and what BM25 finds in them: computed once and kept in `sets/`."""

import logging
from pathlib import Path

from pydantic import BaseModel

from cosup.experiment.data import Digests, digest_of
from cosup.experiment.settings import EvaluationSet
from evaluation.questions import Question
from evaluation.results import SetAbout, SetFigures
from semiparametric.errors import InputError
from semiparametric.formats import Passage
from semiparametric.replacing import write_whole

logger = logging.getLogger(__name__)


class SetRecord(BaseModel):
    """One set: what it is, and BM25 on it where that was wanted."""

    digest: str
    about: SetAbout
    bm25: SetFigures | None


def examine(name: str, one: EvaluationSet, folder: Path, digests: Digests, *, bm25: bool) -> SetRecord:
    """Read a set, check that its questions can be measured, and measure BM25 on it.

    Raises:
        InputError: A file is wrong, no example cites a passage, or one cites a passage that the corpus lacks.
        CosupError: BM25's libraries are not installed.
    """
    files = [digests.of_file(one.corpus), digests.of_file(one.examples)]
    digest = digest_of({"set": one.model_dump(mode="json"), "files": files, "bm25": bm25})
    path = folder / f"{name}.json"
    if path.is_file():
        record = SetRecord.model_validate_json(path.read_bytes())
        if record.digest == digest:
            return record
    record = _examined(name, one, digest, bm25=bm25)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, record.model_dump_json(indent=1) + "\n")
    return record


def _examined(name: str, one: EvaluationSet, digest: str, *, bm25: bool) -> SetRecord:
    from evaluation.measure import asked, measure_bm25
    from semiparametric.formats import read_examples, read_passages

    questions = asked(read_examples(one.examples), one.lookups, one.not_answers)
    if not questions:
        raise InputError("no example cites a passage, so no lookup can be judged", where=f"set {name}, {one.examples}")
    passages = list(read_passages(one.corpus))
    _check_gold(name, one, questions, passages)
    about = SetAbout(domain=one.domain, passages=len(passages), questions=len(questions))
    if bm25:
        logger.info("BM25 on %s: %d questions, %d passages", name, len(questions), len(passages))
    return SetRecord(digest=digest, about=about, bm25=measure_bm25(passages, questions) if bm25 else None)


def _check_gold(name: str, one: EvaluationSet, questions: list[Question], passages: list[Passage]) -> None:
    there = {passage.id for passage in passages}
    for question in questions:
        for gold in question.gold_passages:
            if gold not in there:
                raise InputError(
                    f"the example {question.id!r} cites {gold!r}, which {one.corpus} does not hold",
                    where=f"set {name}, {one.examples}",
                    remedy="Name the corpus that the examples were made from",
                )
