"""A tiny experiment: questions about lamps, models of two layers of 32, a few steps."""

from pathlib import Path
from typing import Any

import yaml

from cosup.experiment.settings import ExperimentSettings
from semiparametric.formats import Example, Passage, Segment, write_jsonl

TRAIN: dict[str, Any] = {
    "scratch": {
        "vocab_size": 400,
        "hidden_size": 32,
        "intermediate_size": 64,
        "gen_layers": 2,
        "embseq_layers": 1,
        "heads": 2,
        "context_length": 256,
    },
    "passage_max_tokens": 48,
    "max_tokens": 200,
    "pooling": "mean",
    "similarity": "cosine",
    "temperature": 0.1,
    "co_supervision": {"steps": 4, "batch_size": 4, "learning_rate": 3e-3, "warmup_steps": 1, "nsp_weight": 1.0},
    "device": "cpu",
    "threads": 1,
    "eval_steps": 2,
    "save_steps": 2,
    "log_steps": 2,
}


def write_experiment(folder: Path, **changed: Any) -> Path:
    """A corpus of lamps, questions about them, and the YAML file of an experiment with one cell."""
    passages = [Passage(id=f"lamp{n}", title=f"Lamp {n}", text=f"Lamp {n} burns {n * 3} hours.") for n in range(12)]
    examples = [
        Example(
            id=f"e{n}",
            question=f"How long does lamp {n} burn?",
            answers=[f"{n * 3} hours"],
            segments=[Segment(text=f"{n * 3} hours.", passage_id=f"lamp{n}")],
        )
        for n in range(12)
    ]
    write_jsonl(folder / "corpus.jsonl", passages)
    write_jsonl(folder / "examples.jsonl", examples)
    corpus, asked = str(folder / "corpus.jsonl"), str(folder / "examples.jsonl")
    settings: dict[str, Any] = {
        "out": str(folder / "out"),
        "title": "Lamps",
        "train": TRAIN | {"corpus": [corpus], "train": [asked], "held_out": {"lamps": asked}},
        "grid": {"supervisions": ["co-supervised"]},
        "sets": {"lamps": {"corpus": corpus, "examples": asked, "domain": "in-domain", "lookups": 6, "answers": 2}},
        "decoding": {"max_new_tokens": 4},
    }
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(settings | changed, sort_keys=False), "utf-8")
    return path


def read_experiment(path: Path, **given: Any) -> ExperimentSettings:
    """The settings of an experiment."""
    return ExperimentSettings.resolve(given, path)
