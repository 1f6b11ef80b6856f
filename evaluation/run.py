"""An evaluation from beginning to end: questions, indexes, answers, figures, and what is written of them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evaluation.cutting import cut_all
from evaluation.datasets import read_questions
from evaluation.journal import Journal, asked_with
from evaluation.judge import Judge, judgements, open_judge
from evaluation.predictions import UNSAID, Prediction, prediction_of
from evaluation.questions import Question
from evaluation.remote import answer_all_remotely
from evaluation.scoring import Rules, Scores, score
from evaluation.settings import DatasetSettings, EvalSettings
from evaluation.shown import check_metrics, shown_figures
from evaluation.submissions import read_submission
from evaluation.systems import Asked, Asker
from semiparametric.errors import InputError
from semiparametric.store.reader import Store
from service.local import ModelSettings, Reply, answer_all

logger = logging.getLogger(__name__)

BuildIndex = Callable[[Path, Path, Path, str], None]
"""Builds an index: pair, corpus, folder of the index, device."""


@dataclass
class Evaluated:
    """One set with all that was done with its questions; predictions and scores stand in the order of `asked`.

    asked: for each system the questions that it was asked: all, but for the oracle those with a gold passage.
    """

    settings: DatasetSettings
    questions: list[Question]
    asked: dict[str, list[Question]] = field(default_factory=dict)
    predictions: dict[str, list[Prediction]] = field(default_factory=dict)
    scores: dict[str, list[Scores]] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Watching:
    """Who is told how far it is.

    on_plan: how many questions are to be asked, and how many of them were answered before.
    on_answer: one more is answered.
    """

    on_plan: Callable[[int, int], None] = lambda _total, _known: None
    on_answer: Callable[[], None] = lambda: None


def evaluate(
    settings: EvalSettings, *, build_index: BuildIndex | None = None, watching: Watching | None = None
) -> dict[str, Evaluated]:
    """Ask what was not asked yet, and score everything.

    Answers are kept in `predictions.jsonl` as they come: an evaluation that stopped goes on from there.

    Args:
        settings: What to ask.
        build_index: Builds an index that is not there, of a set that names its corpus.
        watching: Who is told how far it is.

    Raises:
        InputError: A set, a setting, the judge or a submission is wrong, or earlier predictions were made otherwise.
        PairError, StoreError: Pair or index cannot be opened, or do not belong together.
        CosupError: The service stopped, or a library is missing.
    """
    judge = open_judge(settings.judge, device=settings.device)
    sets = {name: Evaluated(one, read_questions(name, one)) for name, one in settings.datasets.items()}
    for name, one in sets.items():
        check_metrics(name, one.settings, one.questions)
    submissions = {
        (system, name): read_submission(path, name, system, sets[name].questions)
        for system, files in settings.predictions.items()
        for name, path in files.items()
    }
    if settings.systems:
        _ask(sets, settings, build_index, watching or Watching())
    for (system, name), predictions in submissions.items():
        sets[name].asked[system] = sets[name].questions
        sets[name].predictions[system] = predictions
    for one in sets.values():
        score_set(one, judge)
    return sets


def score_set(one: Evaluated, judge: Judge) -> None:
    """Score all predictions of a set; each judgement that several need is made once."""
    chosen = one.settings
    rules = Rules(
        right_f1=chosen.right_f1,
        rouge=chosen.wants_rouge,
        paper_correct=chosen.paper_correct,
        paper_lookups=chosen.paper_lookups,
    )
    answered = [
        (system, question, prediction)
        for system, questions in one.asked.items()
        for question, prediction in zip(questions, one.predictions[system], strict=True)
    ]
    cuts = cut_all([(question, prediction) for _, question, prediction in answered])
    known = judgements(judge, (pair for each in cuts for pair in each.pairs))
    one.scores = {system: [] for system in one.asked}
    for (system, question, prediction), said in zip(answered, cuts, strict=True):
        one.scores[system].append(score(question, prediction, rules, (said, known), suffix=judge.suffix))
    there = {name for scores in one.scores.values() for each in scores for name in each}
    one.shown = shown_figures(chosen, there, judge.suffix)


def _ask(
    sets: dict[str, Evaluated], settings: EvalSettings, build_index: BuildIndex | None, watching: Watching
) -> None:
    if settings.url is None:
        for name, one in sets.items():
            _ensure_index(name, one, settings, build_index)
    journal = Journal(settings.out, asked_with(settings))
    try:
        pending: dict[Path | str | None, list[Asked]] = {}
        total = 0
        for name, one in sets.items():
            asker = Asker(name, settings)
            index = one.settings.served_as if settings.url is not None else settings.index_of(name)
            for system in settings.systems_of(name):
                wanted = asker.askable(system, one.questions)
                one.asked[system] = wanted
                total += len(wanted)
                new = [question for question in wanted if (name, system, question.id) not in journal.known]
                pending.setdefault(index, []).extend(asker.asks(system, new))
        watching.on_plan(total, total - sum(map(len, pending.values())))
        for index, asked in pending.items():
            if asked:
                _ask_at(index, asked, settings, journal, watching)
    finally:
        journal.close()
    for name, one in sets.items():
        for asked_system, questions in one.asked.items():
            one.predictions[asked_system] = [journal.known[name, asked_system, question.id] for question in questions]


def _ask_at(
    index: Path | str | None, asked: Sequence[Asked], settings: EvalSettings, journal: Journal, watching: Watching
) -> None:
    """Ask the pair with the index in a folder, or a service by its name; sets of one index share the loaded pair."""

    def keep(number: int, prediction: Prediction) -> None:
        one = asked[number]
        said = {"dataset": one.dataset, "system": one.system, "id": one.question.id}
        found = prediction.found if one.found is None else one.found
        journal.add(prediction.model_copy(update=said | {"found": found}))
        watching.on_answer()

    asks = [one.ask for one in asked]
    if settings.url is not None:
        name = None if index is None else str(index)
        answer_all_remotely(settings.url, asks, keep, index=name, api_key=settings.api_key)
        return

    def keep_reply(number: int, reply: Reply) -> None:
        keep(number, prediction_of(reply, dataset=UNSAID, system=UNSAID, id=UNSAID))

    chosen = {"device": settings.device, "dtype": settings.dtype, "engine": settings.engine}
    answer_all(ModelSettings.resolve({"pair": settings.pair, "index": index, **chosen}), asks, keep_reply)


def _ensure_index(name: str, one: Evaluated, settings: EvalSettings, build_index: BuildIndex | None) -> None:
    """Build an index that is not there, and see that an index holds the candidates of the questions.

    Raises:
        InputError: There is neither index nor corpus, or a candidate is missing.
    """
    index, corpus, pair = settings.index_of(name), one.settings.corpus, settings.pair
    if pair is None:
        return
    if not index.exists():
        if corpus is None or build_index is None:
            raise InputError(
                "there is no index",
                where=str(index),
                remedy=f"Build it (`cosup index build --pair {pair} --corpus ... --out {index}`), or name the corpus "
                f"of datasets.{name}",
            )
        logger.info("building %s of %s", index, corpus)
        build_index(pair, corpus, index, settings.device)
    wanted = {name for question in one.questions for name in question.candidates or ()}
    if wanted:
        with Store.open(index) as store:
            missing = len(wanted) - len(store.rows_among(sorted(wanted)))
        if missing:
            raise InputError(
                f"{missing} of {len(wanted)} candidates of the questions are not in it",
                where=str(index),
                remedy="Build it from a corpus that holds them; where they stand in the records, from that file",
            )
