"""Tables and plots of a report made by hand."""

import json
from pathlib import Path

import matplotlib as mpl
import pytest

from evaluation.figures import colour_of, draw_all
from evaluation.results import Report, spread_of
from evaluation.tables import markdown, percent, summary, write_report
from tests.evaluation.reports import made_report


def row_of(page: str, heading: str, label: str) -> list[str]:
    """The cells of a row of the table under a heading."""
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    line = next(line for line in section.splitlines() if line.startswith(f"| {label} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_a_spread_is_mean_and_standard_deviation_of_the_sample() -> None:
    spread = spread_of([0.40, 0.50, None])
    assert spread is not None
    assert spread.mean == pytest.approx(0.45)
    assert spread.deviation == pytest.approx(0.0707, abs=1e-4)  # sqrt(((.05)^2 + (.05)^2) / 1)
    assert spread_of([None, None]) is None


def test_a_share_is_told_in_percent_with_its_spread_where_there_are_several_seeds() -> None:
    assert percent(spread_of([0.40, 0.50])) == "45.0 ± 7.1"
    assert percent(spread_of([0.4])) == "40.0"
    assert percent(spread_of([0.4]), signed=True) == "+40.0"
    assert percent(None) == "n/a"


def test_each_set_has_a_table_of_all_groups_and_bm25() -> None:
    page = markdown(made_report())
    assert row_of(page, "books", "co-supervised-lambda0.1")[:3] == ["45.0 ± 7.1", "90.0 ± 14.1", "32.0 ± 2.8"]
    assert row_of(page, "wiki", "BM25") == ["35.0", "70.0", *["n/a"] * 6]


def test_a_group_that_cannot_write_has_no_figures_of_answers_and_says_why() -> None:
    page = markdown(made_report())
    assert row_of(page, "books", "nsp-only")[2:] == ["n/a"] * 6
    assert "nsp-only: it cannot write." in page


def test_what_co_supervision_gains_is_taken_seed_by_seed() -> None:
    page = markdown(made_report())
    # seeds differ by .10 and .06: mean .08, deviation .028; the spread between seeds does not count
    assert row_of(page, "What co-supervised-lambda0.1 gains", "over separate")[0] == "+8.0 ± 2.8"


def test_averages_are_taken_over_the_sets_of_a_domain() -> None:
    row = row_of(markdown(made_report()), "Averages over the sets", "separate")
    assert row == ["37.0 ± 9.9", "29.0 ± 1.4", "18.5 ± 4.9", "29.0 ± 1.4"]


def test_failed_cells_are_named_with_their_reason() -> None:
    report = made_report().model_copy(update={"failures": {"shared-seed0": "loss is not\na number"}})
    assert "- `shared-seed0`: loss is not a number" in markdown(report)


def test_a_report_without_any_result_is_still_a_page(tmp_path: Path) -> None:
    report = made_report().model_copy(update={"cells": [], "bm25": {}, "failures": {"a-seed0": "it broke"}})
    write_report(report, tmp_path, draw_all(report, tmp_path))
    assert "it broke" in (tmp_path / "report.md").read_text("utf-8")
    assert not list(tmp_path.glob("*.png"))


def test_the_json_report_reads_back_and_holds_the_summary(tmp_path: Path) -> None:
    report = made_report()
    write_report(report, tmp_path, [])
    told = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert told.pop("summary") == json.loads(json.dumps(summary(report)))
    assert Report.model_validate_json(json.dumps(told)) == report


def test_plots_are_drawn_and_shown_in_the_report(tmp_path: Path) -> None:
    report = made_report()
    drawn = draw_all(report, tmp_path)
    assert drawn == ["bars.png", "curves.png", "lambda.png"]
    for name in drawn:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert f"![{name.removesuffix('.png')}]({name})" in markdown(report, drawn)


def test_a_plot_with_nothing_to_show_is_left_out_and_an_old_one_removed(tmp_path: Path) -> None:
    report = made_report()
    draw_all(report, tmp_path)
    without_lambda = report.model_copy(update={"cells": [one for one in report.cells if one.nsp_weight is None]})
    assert draw_all(without_lambda, tmp_path) == ["bars.png", "curves.png"]
    assert not (tmp_path / "lambda.png").exists()


def test_a_supervision_has_one_colour_and_its_further_groups_are_lighter() -> None:
    report = made_report()
    first, second = (mpl.colors.to_rgb(colour_of(report, group)) for group in report.groups[:2])
    assert all(light > dark for light, dark in zip(second, first, strict=True) if dark < 1)
    assert len({colour_of(report, group) for group in report.groups}) == len(report.groups)
