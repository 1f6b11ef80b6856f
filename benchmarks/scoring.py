"""Scoring answers that are there already: how long `cosup eval` takes from predictions to report, without an NLI model.

    python -m benchmarks.scoring
    python -m benchmarks.scoring --smoke         # does it run? (a test does this)

Questions, answers and passages are made of a few words by a seeded generator; no two are equal, so nothing is spared by
remembering. `scoring.md` has the last figures.
"""

import json
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from benchmarks.decoding import machine
from evaluation.outputs import write_outputs
from evaluation.run import evaluate
from evaluation.settings import EvalSettings

TARGET = 20  # seconds for 10,000 predictions
LIBRARIES = ("pysbd", "loky", "numpy", "pydantic")
WORDS = (
    "keeper lamp tower tide wheel harbour storm letter bridge garden winter market river stone window candle sailor "
    "island captain message village teacher machine engine valley forest morning evening silver copper paper glass "
    "turns lights carries follows opens writes counts measures repairs paints quietly slowly twice daily near under "
    "between after before with without across and then because while old new bright heavy narrow early late"
)


@dataclass(frozen=True)
class Kind:
    """Answers of one kind.

    sentences: of an answer, at least and at most; each cites a passage.
    words: of a sentence, at least and at most.
    passages: read for an answer (number).
    settings: of the set.
    """

    sentences: tuple[int, int]
    words: tuple[int, int]
    passages: int
    settings: dict[str, Any] = field(default_factory=dict)


KINDS = {
    "short": Kind((1, 1), (3, 12), 1),
    "long": Kind((2, 6), (10, 24), 3),
    "long, with ROUGE-L": Kind((2, 6), (10, 24), 3, {"metrics": ["f1", "rouge_l", "citation_recall"]}),
}


class Spent:
    """Seconds of each phase."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}

    @contextmanager
    def on(self, phase: str) -> Iterator[None]:
        """Count what is done inside to a phase."""
        started = perf_counter()
        yield
        self.phases[phase] = perf_counter() - started


def main(
    predictions: Annotated[int, typer.Option(help="Predictions of each kind.")] = 10_000,
    smoke: Annotated[bool, typer.Option(help="Few predictions: does it run?")] = False,
) -> None:
    """Measure each kind and print the table."""
    count = 20 if smoke else predictions
    rows = []
    for name, kind in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            spent = measure(kind, count, Path(folder))
        rows.append(row(name, spent))
        typer.echo(rows[-1], err=True)
    typer.echo("\n".join(["| answers | scoring, s | report, s | together, s |", "|---|---:|---:|---:|", *rows]))
    typer.echo(f"\n{count} predictions each; target {TARGET} s together. {machine(1, LIBRARIES)}")


def measure(kind: Kind, count: int, folder: Path) -> Spent:
    """Write predictions of a kind, and score them as `cosup eval` does."""
    settings = write(kind, count, folder)
    spent = Spent()
    with spent.on("scoring"):
        sets = evaluate(settings)
    with spent.on("report"):
        report = write_outputs(sets, settings)
    if report.sets["made"].systems["made"].asked != count:
        raise RuntimeError("not all predictions were scored")
    return spent


def write(kind: Kind, count: int, folder: Path) -> EvalSettings:
    """Questions and predictions as files, and the settings that score them."""
    chance = random.Random(0)
    made = [make(kind, number, chance) for number in range(count)]
    for name, place in (("questions", 0), ("predictions", 1)):
        lines = "".join(json.dumps(one[place]) + "\n" for one in made)
        (folder / f"{name}.jsonl").write_text(lines, "utf-8")
    return EvalSettings.resolve(
        {
            "out": folder / "out",
            "systems": [],
            "predictions": {"made": {"made": folder / "predictions.jsonl"}},
            "datasets": {"made": {"file": folder / "questions.jsonl", **kind.settings}},
        }
    )


def make(kind: Kind, number: int, chance: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """An example and a prediction for it, which cites each sentence to a passage, of which the first is gold."""
    vocabulary = WORDS.split()

    def sentence() -> str:
        words = chance.choices(vocabulary, k=chance.randint(*kind.words))
        rest = chance.choice((", 3.5 m high", ", e.g. Mr. Ames", " (see p. 4)")) if chance.random() < 0.2 else ""
        return f"{' '.join(words).capitalize()}{rest}."

    said = [sentence() for _ in range(chance.randint(*kind.sentences))]
    passages = [
        {"id": f"p{number}-{place}", "title": sentence(), "text": " ".join(sentence() for _ in range(8))}
        for place in range(kind.passages)
    ]
    for place, one in enumerate(said[::2]):  # every other sentence stands in its passage
        passages[2 * place % len(passages)]["text"] += f" {one}"
    ends = [sum(len(one) + 1 for one in said[: place + 1]) - 1 for place in range(len(said))]
    citations = [
        {"start": end - len(one), "end": end, "passage_id": passages[place % len(passages)]["id"]}
        for place, (one, end) in enumerate(zip(said, ends, strict=True))
    ]
    wanted = [{"text": sentence(), "passage_id": passages[0]["id"]}]
    example = {"id": f"q{number}", "task": "made", "question": sentence(), "answers": [sentence()], "segments": wanted}
    found = [{"id": one["id"], "score": 1.0 / rank} for rank, one in enumerate(passages, start=1)]
    known = {"dataset": "made", "system": "made", "id": f"q{number}", "answer": " ".join(said)}
    return example, known | {"citations": citations, "passages": passages, "found": found}


def row(name: str, spent: Spent) -> str:
    """A line of the table."""
    taken = [*spent.phases.values(), sum(spent.phases.values())]
    return f"| {name} | {' | '.join(f'{seconds:.1f}' for seconds in taken)} |"


if __name__ == "__main__":
    typer.run(main)
