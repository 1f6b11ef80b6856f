"""Answers cut into what a judge is asked about: sentences with their citations, and claims.

The sentences of thousands of answers take more time than all that is computed of them, so they are cut by a process
on each core. A new process of the standard library loads the program's main module, and so torch: seconds of each core.
Loky's do not: they load `semiparametric.sentences` alone.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.metrics import citations as judged
from evaluation.metrics.citations import Pair, Span, Statement
from evaluation.predictions import Prediction
from evaluation.questions import Question
from semiparametric.sentences import sentences

logger = logging.getLogger(__name__)

_WORTH_A_PROCESS = 200_000  # characters: cut in a second or so, which is what starting a process takes
_AT_ONCE = 500  # texts that a process is given


@dataclass(frozen=True)
class Cut:
    """An answer cut into what a judge is asked about.

    statements: its sentences with the passages that they cite.
    grounding: passage and sentence of each judgement of the paper's grounding.
    claims: the answer and each claim that a full answer entails.
    """

    statements: list[Statement]
    grounding: list[Pair]
    claims: list[Pair]

    @property
    def pairs(self) -> list[Pair]:
        """All judgements that the figures of this answer depend on."""
        return [*judged.needed(self.statements), *self.grounding, *self.claims]


def cut_all(answered: Sequence[tuple[Question, Prediction]]) -> list[Cut]:
    """Cut answers; one that is empty asks a judge nothing."""
    told = list({one.answer: None for _, one in answered if one.answer and one.citations})
    known = dict(zip(told, _sentences_of_each(told), strict=True))
    return [_cut(question, prediction, known) for question, prediction in answered]


def _cut(question: Question, prediction: Prediction, known: dict[str, list[str]]) -> Cut:
    said = prediction.answer or ""
    if not said.strip():
        return Cut([], [], [])
    spans = _spans(prediction)
    found = known[said] if spans else [said]  # where nothing is cited, nothing is supported, however it is cut
    return Cut(
        judged.statements_of(found, spans),
        judged.grounding_pairs(found, spans),
        [(said, claim) for claim in question.claims],
    )


def _spans(prediction: Prediction) -> list[Span]:
    """Citations with their passages as ALCE shows them to a judge."""
    shown = {one.id: f"Title: {one.title}\n{one.text}" for one in prediction.passages}
    return [Span(one.start, one.end, shown.get(one.passage_id)) for one in prediction.citations]


def _sentences_of_each(texts: Sequence[str]) -> list[list[str]]:
    """In as many processes as there are cores, if there is enough to do for each."""
    worth = sum(map(len, texts)) // _WORTH_A_PROCESS
    if worth < 2:
        return list(map(sentences, texts))
    try:
        from loky import ProcessPoolExecutor, cpu_count
    except ImportError:
        logger.warning("sentences are cut on one core: loky is not installed (pip install 'cosup[eval]')")
        return list(map(sentences, texts))
    with ProcessPoolExecutor(min(cpu_count(), worth)) as executor:
        return list(executor.map(sentences, texts, chunksize=_AT_ONCE))
