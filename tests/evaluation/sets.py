"""Small sets of questions in every format, written for these tests, about the passages of `tests.small_index`."""

import json
from pathlib import Path
from typing import Any

from semiparametric.formats import Passage, write_jsonl
from tests.small_index import PASSAGES

KILT_PASSAGES = [
    Passage(id=f"{page}-1", title=title, text=text, metadata={"wikipedia_id": page, "start_paragraph_id": 1})
    for page, title, text in (
        ("10", "Lamp", "The lamp is lit at dusk."),
        ("20", "Tide", "The tide turns twice a day."),
        ("30", "Wheel", "The wheel follows the tide."),
    )
]
DOCS = [{"id": one.id, "title": one.title, "text": one.text} for one in PASSAGES[:3]]


def write_corpus(path: Path, passages: list[Passage] | None = None) -> Path:
    write_jsonl(path, PASSAGES if passages is None else passages)
    return path


def write_lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def write_json(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), "utf-8")
    return path


def example(name: str, question: str, answer: str, passage: str) -> dict[str, Any]:
    segments = [{"text": answer, "passage_id": passage}]
    return {"id": name, "task": "small", "question": question, "answers": [answer], "segments": segments}


EXAMPLES = [
    example("e1", "When is the lamp lit?", "at dusk", "lamp"),
    example("e2", "How often does the tide turn?", "twice a day", "tide"),
    {"id": "e3", "task": "unanswerable", "question": "Who painted the inn?", "answers": [], "segments": []},
]


def kilt_record(name: str, question: str, *outputs: tuple[str, str]) -> dict[str, Any]:
    """Outputs are pairs of an answer and a page."""
    told = [
        {"answer": answer, "provenance": [{"wikipedia_id": page, "start_paragraph_id": 1, "end_paragraph_id": 1}]}
        for answer, page in outputs
    ]
    return {"id": name, "input": question, "output": told}
