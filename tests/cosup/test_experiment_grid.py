"""From the settings of an experiment to its cells, and what is refused before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from cosup.cli import app
from cosup.experiment.grid import cells_of
from cosup.experiment.run import run_experiment
from cosup.experiment.settings import ExperimentSettings
from semiparametric.errors import CosupError, InputError
from tests.cosup.experiments import TRAIN, read_experiment, write_experiment
from tests.documents import ROOT, blocks_of

CONFIGS = ROOT / "configs" / "experiments"


def names(settings: ExperimentSettings) -> list[str]:
    return [cell.name for cell in cells_of(settings)]


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_experiment_parses_down_to_the_training_settings_of_each_cell(path: Path) -> None:
    settings = ExperimentSettings.resolve({}, path)
    cells = cells_of(settings)
    assert {"co-supervised", "separate"} <= {cell.train.supervision for cell in cells}
    assert {one.domain for one in settings.sets.values()} == {"in-domain", "out-of-domain"}


def test_the_settings_shown_in_the_page_are_valid(tmp_path: Path) -> None:
    (shown,) = blocks_of((ROOT / "docs" / "experiment.md").read_text("utf-8"), "yaml")
    (tmp_path / "experiment.yaml").write_text(shown, "utf-8")
    settings = ExperimentSettings.resolve({}, tmp_path / "experiment.yaml")
    assert settings.base is not None
    needed = {"corpus": ["corpus.jsonl"], "train": ["train.jsonl"]}
    base = settings.model_copy(update={"base": ROOT / settings.base, "train": needed | settings.train})
    # Three lambdas of two choices of Embseq and of shared, two of the others each, one variant: all over three seeds.
    assert len(cells_of(base)) == (3 * 2 + 2 + 2 + 3 + 1) * 3


def test_without_the_library_that_draws_an_experiment_is_refused_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cosup.experiment.run.find_spec", lambda name: None if name == "matplotlib" else name)
    with pytest.raises(CosupError, match=r"needs matplotlib.*pip install 'cosup\[train\]'"):
        run_experiment(read_experiment(write_experiment(tmp_path)), Console(quiet=True))
    assert not (tmp_path / "out").exists()


def test_lambdas_multiply_only_the_supervisions_that_have_one(tmp_path: Path) -> None:
    grid = {"supervisions": ["co-supervised", "separate", "nsp-only", "shared"], "nsp_weights": [0.1, 1.0]}
    assert names(read_experiment(write_experiment(tmp_path, grid=grid))) == [
        "co-supervised-lambda0.1-seed0",
        "co-supervised-lambda1-seed0",
        "separate-seed0",
        "nsp-only-seed0",
        "shared-lambda0.1-seed0",
        "shared-lambda1-seed0",
    ]


def test_choices_of_embseq_multiply_all_supervisions_but_the_one_that_has_one_model(tmp_path: Path) -> None:
    embseqs = {"one-layer": {}, "two-layers": {"scratch": {"embseq_layers": 2}}}
    grid = {"supervisions": ["co-supervised", "shared"], "embseqs": embseqs, "seeds": [3]}
    cells = cells_of(read_experiment(write_experiment(tmp_path, grid=grid)))
    assert [cell.name for cell in cells] == [
        "co-supervised-one-layer-seed3",
        "co-supervised-two-layers-seed3",
        "shared-seed3",
    ]
    assert [cell.train.scratch.embseq_layers for cell in cells] == [1, 2, 1]
    assert cells[1].train.scratch.hidden_size == 32  # a nested setting changes alone


def test_every_group_is_trained_once_for_each_seed(tmp_path: Path) -> None:
    cells = cells_of(read_experiment(write_experiment(tmp_path, grid={"supervisions": ["separate"], "seeds": [0, 7]})))
    assert [(cell.group, cell.train.seed) for cell in cells] == [("separate", 0), ("separate", 7)]
    assert cells[0].nsp_weight is None


def test_variants_are_further_groups(tmp_path: Path) -> None:
    variants = {"separate-dual": {"supervision": "separate", "encoder": "dual"}, "dot": {"similarity": "dot"}}
    cells = cells_of(read_experiment(write_experiment(tmp_path, grid={"supervisions": []}, variants=variants)))
    assert [cell.name for cell in cells] == ["separate-dual-seed0", "dot-seed0"]
    assert cells[0].train.encoder == "dual"
    assert cells[1].train.similarity == "dot"


def test_train_wins_over_base_and_the_grid_over_both(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        yaml.safe_dump({"out": "elsewhere", "temperature": 9.0, "co_supervision": {"cut_share": 0.5}})
    )
    grid = {"supervisions": ["co-supervised"], "nsp_weights": [0.25]}
    path = write_experiment(tmp_path, base=str(tmp_path / "base.yaml"), grid=grid)
    (cell,) = cells_of(read_experiment(path))
    assert cell.train.temperature == TRAIN["temperature"]
    assert cell.train.co_supervision.cut_share == 0.5
    assert cell.train.co_supervision.nsp_weight == 0.25
    assert cell.train.out == tmp_path / "out" / "cells" / cell.name / "train"


def test_prepared_data_is_named_by_its_place(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, prepare={"docs": {"package": ["httpx"]}})
    values = yaml.safe_load(path.read_text("utf-8"))
    values["train"]["corpus"] = ["{data}/docs/corpus.jsonl.gz"]
    values["sets"]["lamps"]["examples"] = "{data}/docs/known.jsonl.gz"
    path.write_text(yaml.safe_dump(values), "utf-8")
    (cell,) = cells_of(read_experiment(path))
    assert cell.train.corpus == [tmp_path / "out" / "data" / "docs" / "corpus.jsonl.gz"]
    assert cell.sets["lamps"].examples == tmp_path / "out" / "data" / "docs" / "known.jsonl.gz"
    assert cell.train.passage_template == "{title} :: {text}"  # other braces are left alone


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sets": {}}, "sets: .*at least 1 item"),
        ({"grid": {"supervisions": []}}, "both empty"),
        ({"grid": {"supervisions": ["joint"]}}, r"grid.supervisions.0: .*'co-supervised'.*\(got 'joint'\)"),
        ({"grid": {"nsp_weights": [-0.1]}}, "lambda is 0 or more"),
        ({"grid": {"seeds": [1, 1]}}, "each may stand once"),
        ({"grid": {"lambdas": [1]}}, "grid.lambdas: Extra inputs"),
        ({"variants": {"../up": {}}}, r"letters, digits.*'\.\./up'"),
        ({"jobs": 0}, "jobs: .*greater than or equal to 1"),
        ({"prepare": {"docs": {"package": []}}}, "prepare.docs.package"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = write_experiment(tmp_path, **changed)
    with pytest.raises(InputError, match=message):
        read_experiment(path)


def test_a_variant_named_as_a_group_of_the_grid_is_refused(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, variants={"co-supervised": {}})
    with pytest.raises(InputError, match="'co-supervised' has the name of a group of the grid"):
        cells_of(read_experiment(path))


def test_wrong_training_settings_of_all_cells_are_refused_together(tmp_path: Path) -> None:
    variants = {"cold": {"temperature": -1}, "odd": {"temprature": 1}}
    path = write_experiment(tmp_path, variants=variants, grid={"supervisions": ["co-supervised"], "seeds": [0, 1]})
    with pytest.raises(InputError) as caught:
        cells_of(read_experiment(path))
    said = str(caught.value)
    assert "temperature" in said
    assert "first in cold-seed0" in said
    assert "temprature" in said
    assert "cold-seed1" not in said


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "cannot be read as YAML"), ("- a", "holds `name: value` lines"), (None, "No such file")],
)
def test_a_base_that_cannot_be_read_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    base = tmp_path / "base.yaml"
    if text is not None:
        base.write_text(text)
    with pytest.raises(InputError, match=message):
        cells_of(read_experiment(write_experiment(tmp_path, base=str(base))))


def test_files_that_are_missing_are_refused_together_before_anything_is_made(tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    (tmp_path / "corpus.jsonl").unlink()
    (tmp_path / "examples.jsonl").unlink()
    with pytest.raises(InputError, match=r"no such file: .*corpus.jsonl, .*examples.jsonl"):
        run_experiment(read_experiment(path), Console(quiet=True))
    assert not (tmp_path / "out").exists()


def test_a_set_whose_gold_passage_the_corpus_lacks_is_refused(tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    lines = (tmp_path / "corpus.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "corpus.jsonl").write_text("".join(lines[:3]), "utf-8")
    with pytest.raises(InputError, match=r"set lamps, .*cites 'lamp\d+', which .*corpus.jsonl does not hold"):
        run_experiment(read_experiment(path), Console(quiet=True))


def test_a_set_without_a_citing_example_is_refused(tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    values = yaml.safe_load(path.read_text("utf-8"))
    values["sets"]["lamps"]["examples"] = str(tmp_path / "plain.jsonl")
    path.write_text(yaml.safe_dump(values), "utf-8")
    (tmp_path / "plain.jsonl").write_text('{"id": "e", "question": "Why?"}\n', "utf-8")
    with pytest.raises(InputError, match=r"set lamps, .*: no example cites a passage"):
        run_experiment(read_experiment(path), Console(quiet=True))


def test_a_package_that_is_not_installed_is_refused_by_name(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, prepare={"docs": {"package": ["nothing_of_this_name"]}})
    with pytest.raises(InputError, match="nothing_of_this_name"):
        run_experiment(read_experiment(path), Console(quiet=True))


def test_a_dry_run_names_the_cells_and_makes_nothing(tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    shown = CliRunner().invoke(app, ["experiment", str(path), "--dry-run"])
    assert shown.exit_code == 0
    assert shown.stdout.split() == ["co-supervised-seed0"]
    assert not (tmp_path / "out").exists()


def test_the_command_refuses_a_wrong_config_in_one_line(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, setz={})
    shown = CliRunner().invoke(app, ["experiment", str(path)])
    assert shown.exit_code == 2
    assert shown.stderr.startswith(f"Error: {path}: setz: Extra inputs are not permitted")
