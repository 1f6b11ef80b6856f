"""From a corpus to the four files of question examples: train, dev, test and known."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage
from training.examples.entries import Entry, read_entries, split_of
from training.examples.questions import Candidate, QuestionMaker
from training.examples.settings import PythonExamplesSettings

# The order in which tasks are drawn for one entry, over and over until it has its number of questions:
# lookups by description are the hardest to learn, parameters and comparisons exist for few entries.
TASK_CYCLE = ("what", "which", "parameter", "which", "what", "compare", "which")


@dataclass(frozen=True)
class _Drawn:
    """The questions drawn for one entry: for training, and left over for held-out use."""

    entry: Entry
    asked: list[Candidate]
    held_out: list[Candidate]


def build_examples(passages: Iterable[Passage], settings: PythonExamplesSettings) -> dict[str, list[Example]]:
    """Return the examples of each split; equal input and seed give equal examples.

    Raises InputError when the corpus holds no Python documentation to ask about.
    """
    entries = read_entries(passages)
    maker = QuestionMaker(entries)
    drawn = [_draw(entry, maker, settings) for entry in entries]
    drawn = _unambiguous([one for one in drawn if one.asked])
    if not drawn:
        raise InputError(
            "the corpus holds no Python documentation that questions can be made of",
            where=str(settings.corpus),
            remedy="Make it with `cosup corpus python`",
        )
    split = {
        one.entry.top_level: split_of(one.entry.top_level, settings.test_percent, settings.dev_percent) for one in drawn
    }
    seen = [one for one in drawn if split[one.entry.top_level] == "train"]
    train = [candidate for one in seen for candidate in one.asked]
    chosen = {"train": train, "known": _known(seen, train, settings)}
    for name in ("dev", "test"):
        pool = [
            candidate for one in drawn if split[one.entry.top_level] == name for candidate in one.asked + one.held_out
        ]
        chosen[name] = _sample(pool, settings.num_unseen, f"{settings.seed} {name}")
    return {name: list(_examples(name, candidates)) for name, candidates in chosen.items()}


def count_tasks(examples: Sequence[Example]) -> Counter[str]:
    """Count the examples of each task."""
    return Counter(example.task for example in examples)


def _draw(entry: Entry, maker: QuestionMaker, settings: PythonExamplesSettings) -> _Drawn:
    random = Random(f"{settings.seed} {entry.name}")  # noqa: S311 - reproducible, not secret
    by_task: dict[str, list[Candidate]] = {task: [] for task in TASK_CYCLE}
    held_out: list[Candidate] = []
    seen: set[str] = set()
    for candidate in maker.candidates(entry, random):
        if candidate.question not in seen:
            seen.add(candidate.question)
            (held_out if candidate.reserved else by_task[candidate.task]).append(candidate)
    asked: list[Candidate] = []
    for task in itertools.cycle(TASK_CYCLE):
        if len(asked) == settings.questions_per_passage or not any(by_task.values()):
            break
        if by_task[task]:
            asked.append(by_task[task].pop())
    return _Drawn(entry, asked, held_out + [candidate for left in by_task.values() for candidate in left])


def _unambiguous(drawn: Sequence[_Drawn]) -> list[_Drawn]:
    """Leave out every question that is asked, word for word, about two entries."""
    golds: dict[str, set[tuple[str | None, ...]]] = {}
    for one in drawn:
        for candidate in one.asked + one.held_out:
            golds.setdefault(_key(candidate), set()).add(tuple(segment.passage_id for segment in candidate.segments))
    return [
        _Drawn(
            one.entry,
            [candidate for candidate in one.asked if len(golds[_key(candidate)]) == 1],
            [candidate for candidate in one.held_out if len(golds[_key(candidate)]) == 1],
        )
        for one in drawn
    ]


def _key(candidate: Candidate) -> str:
    return " ".join(candidate.question.lower().split()).rstrip("?.!")


def _known(seen: Sequence[_Drawn], train: Sequence[Candidate], settings: PythonExamplesSettings) -> list[Candidate]:
    """Draw held-out questions about entries seen in training: half in reserved wordings, half in known ones."""
    asked = {_key(candidate) for candidate in train}
    pools: dict[bool, list[Candidate]] = {True: [], False: []}
    for one in seen:
        random = Random(f"{settings.seed} known {one.entry.name}")  # noqa: S311 - reproducible, not secret
        left = [candidate for candidate in one.held_out if _key(candidate) not in asked]
        for reserved, pool in pools.items():
            fitting = [candidate for candidate in left if candidate.reserved is reserved]
            tasks = sorted({candidate.task for candidate in fitting})
            if tasks:  # the task first, so that a frequent task does not crowd out the others
                task = random.choice(tasks)
                pool.append(random.choice([candidate for candidate in fitting if candidate.task == task]))
    half = settings.num_known // 2
    drawn = _sample(pools[True], half, f"{settings.seed} reserved")
    return drawn + _sample(pools[False], settings.num_known - len(drawn), f"{settings.seed} known")


def _sample(pool: Sequence[Candidate], count: int, seed: str) -> list[Candidate]:
    """Draw distinct questions, every task in turn, so that the rare ones are measured too."""
    random = Random(seed)  # noqa: S311 - reproducible, not secret
    shuffled = list({_key(candidate): candidate for candidate in pool}.values())
    random.shuffle(shuffled)
    by_task: dict[str, list[Candidate]] = {}
    for candidate in shuffled:
        by_task.setdefault(candidate.task, []).append(candidate)
    drawn: list[Candidate] = []
    for task in itertools.cycle(TASK_CYCLE):
        if len(drawn) == count or not any(by_task.values()):
            return drawn
        if by_task.get(task):
            drawn.append(by_task[task].pop())
    return drawn


def _examples(split: str, candidates: Sequence[Candidate]) -> Iterator[Example]:
    for number, candidate in enumerate(candidates):
        joined = " ".join(segment.text for segment in candidate.segments)
        answers = [joined, candidate.short_answer] if candidate.short_answer not in {"", joined} else [joined]
        yield Example(
            id=f"{split}-{candidate.task}-{number:06d}",
            task=candidate.task,
            question=candidate.question,
            answers=answers,
            segments=list(candidate.segments),
        )
