"""`predictions.jsonl` while it grows: what was answered already is kept, unless it was asked in another way."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaluation.predictions import Prediction
from evaluation.settings import EvalSettings
from semiparametric.errors import InputError
from semiparametric.formats import parse_json
from semiparametric.lines import raw_lines
from semiparametric.replacing import write_whole
from semiparametric.store.layout import MANIFEST, served_version, version_folder

Key = tuple[str, str, str]
"""Set, system, and id of the question."""

PREDICTIONS, ASKED = "predictions.jsonl", "asked.json"

_CHUNK = 1 << 20


class Journal:
    """Appends predictions to a folder's file, each as soon as it is there, and knows those of earlier runs.

    Args:
        folder: The evaluation's.
        asked: What the predictions depend on, by name (`asked_with`).

    Raises:
        InputError: Predictions that are there were made with something else under one of these names.
    """

    def __init__(self, folder: Path, asked: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / PREDICTIONS
        self.known: dict[Key, Prediction] = {}
        if self._path.is_file():
            _cut_unfinished(self._path)
            earlier = _read_asked(folder / ASKED)
            changed = sorted(name for name in asked.keys() & earlier.keys() if asked[name] != earlier[name])
            if changed:
                raise InputError(
                    f"its predictions were made with other {', '.join(changed)}",
                    where=str(self._path),
                    remedy="Name another `out`, or delete the file",
                )
            asked = earlier | dict(asked)
            self.known = read_predictions(self._path)
        write_whole(folder / ASKED, json.dumps(asked, indent=1) + "\n")
        self._file = self._path.open("a", encoding="utf-8")

    def add(self, prediction: Prediction) -> None:
        """Write a prediction; it survives the end of the process."""
        self.known[prediction.dataset, prediction.system, prediction.id] = prediction
        self._file.write(json.dumps(prediction.model_dump(exclude_defaults=True), ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_predictions(path: Path) -> dict[Key, Prediction]:
    """The predictions of a file.

    Raises:
        InputError: A line is not a prediction, or the same question of the same system stands twice.
    """
    known: dict[Key, Prediction] = {}
    for number, line in raw_lines(path):
        where = f"{path}, line {number}"
        prediction = parse_json(line, Prediction, where)
        key = (prediction.dataset, prediction.system, prediction.id)
        if key in known:
            raise InputError(
                f"{prediction.system} has a prediction for {prediction.id!r} of {prediction.dataset} already",
                where=where,
                remedy="Each may have one",
            )
        known[key] = prediction
    return known


def asked_with(settings: EvalSettings) -> dict[str, str]:
    """Digests of all that predictions depend on, by the name that a person knows it by.

    Which sets, systems and how many questions there are is not among them: those may grow from run to run. Nor is the
    address of a service, which may come back at another one: that it has the same pair and index is not checked.
    """
    told: dict[str, Any] = {"decoding": settings.decoding.model_dump(), "top_k": settings.top_k}
    if settings.pair is not None:
        told["pair"] = [_digest(settings.pair / "pair.json"), settings.dtype]
    if "dense" in settings.systems:
        told["dense"] = settings.dense
    for name, dataset in settings.datasets.items():
        asked = [_digest(dataset.file), dataset.format, dataset.instruction, dataset.candidates, dataset.not_answers]
        if settings.pair is not None and settings.systems:
            asked.append(_digest(_manifest(settings.index_of(name))))
        told[f"datasets.{name}"] = asked
    return {name: hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16] for name, value in told.items()}


def _manifest(index: Path) -> Path:
    return version_folder(index, served_version(index)) / MANIFEST


def _digest(path: Path) -> str:
    if not path.is_file():
        raise InputError("no such file", where=str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cut_unfinished(path: Path) -> None:
    """A process that died while it wrote leaves half a line, which is asked again."""
    with path.open("rb+") as file:
        end = file.seek(0, 2)
        while end:
            start = max(0, end - _CHUNK)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            if at >= 0:
                file.truncate(start + at + 1)
                return
            end = start
        file.truncate(0)


def _read_asked(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise InputError(
            "it is not there, so how the predictions beside it were made is not known",
            where=str(path),
            remedy="Name another `out`, or delete the predictions",
        )
    try:
        told: dict[str, str] = json.loads(path.read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON ({error})", where=str(path)) from error
    return told
