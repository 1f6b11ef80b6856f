"""From settings to cells: each combination of the grid and each variant, once for each seed, with resolved settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cosup.experiment.settings import DATA_PLACE, EvaluationSet, ExperimentSettings
from semiparametric.errors import InputError
from training.settings import TrainSettings

WITH_LAMBDA = frozenset({"co-supervised", "shared"})
"""Supervisions whose two losses are weighed against each other; the others minimise one at a time."""

DEFAULT = "default"
"""The choice of Embseq that the training settings make by themselves."""


@dataclass(frozen=True)
class Group:
    """What cells of different seeds have in common; `overrides` are the training settings that make it."""

    name: str
    overrides: Mapping[str, Any]
    embseq: str = DEFAULT


@dataclass(frozen=True)
class Cell:
    """One training run and its measurement."""

    name: str
    group: str
    embseq: str
    train: TrainSettings
    sets: Mapping[str, EvaluationSet] = field(repr=False)

    @property
    def nsp_weight(self) -> float | None:
        """Lambda, where this supervision has one."""
        return self.train.co_supervision.nsp_weight if self.train.supervision in WITH_LAMBDA else None


def cells_of(settings: ExperimentSettings) -> list[Cell]:
    """All cells, in the order of the grid; every training setting is checked before anything runs.

    Raises:
        InputError: `base` cannot be read, or the training settings of a cell are wrong; all cells are named together.
    """
    base = _merged(_read_base(settings.base), settings.train)
    for name in ("out", "restart"):  # each cell has its own folder, and what is out of date there goes
        base.pop(name, None)
    sets = {name: _placed_set(one, settings) for name, one in settings.sets.items()}
    cells: list[Cell] = []
    problems: dict[str, str] = {}
    for group in _groups(settings, base):
        for seed in settings.grid.seeds:
            name = f"{group.name}-seed{seed}"
            given = _placed(_merged(base, group.overrides), settings) | {
                "seed": seed,
                "out": str(settings.out / "cells" / name / "train"),
            }
            try:
                train = TrainSettings.resolve(given)
            except InputError as error:
                problems.setdefault(error.message, name)
                continue
            cells.append(Cell(name, group.name, group.embseq, train, sets))
    if problems:
        said = "; ".join(f"{problem} (first in {name})" for problem, name in problems.items())
        raise InputError(f"training settings are wrong: {said}", where="base, train, grid or variants")
    return cells


def _read_base(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot be read as YAML ({error})", where=f"base, {path}") from error
    if not isinstance(values, dict):
        raise InputError("a config of `cosup train` holds `name: value` lines", where=f"base, {path}")
    return values


def _groups(settings: ExperimentSettings, base: Mapping[str, Any]) -> Iterator[Group]:
    names = set()
    for group in [
        *_grid_groups(settings, base),
        *(Group(name, made, name) for name, made in settings.variants.items()),
    ]:
        if group.name in names:
            raise InputError(
                f"the variant {group.name!r} has the name of a group of the grid", where="variants", remedy="Rename it"
            )
        names.add(group.name)
        yield group


def _grid_groups(settings: ExperimentSettings, base: Mapping[str, Any]) -> Iterator[Group]:
    grid = settings.grid
    for supervision in grid.supervisions:
        has_lambda = supervision in WITH_LAMBDA
        weights: list[float | None] = [*grid.nsp_weights] if has_lambda and grid.nsp_weights else [None]
        # One model is Gen and Embseq of a shared pair, so there is nothing to choose.
        embseqs = grid.embseqs if grid.embseqs and supervision != "shared" else {DEFAULT: {}}
        for weight in weights:
            for embseq, choice in embseqs.items():
                overrides = _merged(choice, {"supervision": supervision})
                if weight is not None:
                    overrides = _merged(overrides, {"co_supervision": {"nsp_weight": weight}})
                parts = [supervision, *([f"lambda{weight:g}"] if weight is not None else [])]
                parts += [embseq] if embseq != DEFAULT else []
                yield Group("-".join(parts), overrides, embseq)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings, those of `above` winning; lists are replaced whole."""
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        # held_out names sets, so a table given anew replaces it: otherwise no set could be left out
        if isinstance(value, Mapping) and isinstance(under, Mapping) and name != "held_out":
            merged[name] = _merged(under, value)
        else:
            merged[name] = value
    return merged


def _placed(given: Mapping[str, Any], settings: ExperimentSettings) -> dict[str, Any]:
    """Training settings whose paths name the prepared data."""

    def place(value: Any) -> Any:
        if isinstance(value, str):
            return data_path(value, settings.out)
        if isinstance(value, Mapping):
            return {name: place(entry) for name, entry in value.items()}
        return [place(entry) for entry in value] if isinstance(value, list) else value

    return {**given, **{name: place(given[name]) for name in ("corpus", "train", "held_out") if name in given}}


def _placed_set(one: EvaluationSet, settings: ExperimentSettings) -> EvaluationSet:
    places = {name: Path(data_path(str(getattr(one, name)), settings.out)) for name in ("corpus", "examples")}
    return one.model_copy(update=places)


def data_path(path: str, out: Path) -> str:
    """A path of the settings, `{data}` at its start being the folder of prepared data."""
    return str(out / "data") + path.removeprefix(DATA_PLACE) if path.startswith(DATA_PLACE) else path
