"""The stages of a build: what is logged of each, and what others are told."""

import json
import logging

import pytest

from index_builder.stages import StageReport, Stages
from semiparametric.errors import StoreError


def test_a_stage_reports_its_counts_with_their_rates_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    told: list[StageReport] = []
    stages = Stages(told.append)
    with caplog.at_level(logging.INFO), stages.stage("read") as stage:
        stage.count(passages=60)
        stage.tell(index_type="flat")
        assert told == []
    (report,) = told
    assert (report.stage, report.error) == ("read", None)
    assert report.figures["passages"] == 60
    assert report.figures["passages_per_second"] > 0  # type: ignore[operator]
    line = json.loads(report.model_dump_json())
    assert list(line) == ["stage", "seconds", "passages", "index_type", "passages_per_second"]
    assert [record.name for record in caplog.records] == ["index_builder.stages"]
    assert caplog.messages[0].startswith("read: ")
    assert "passages 60, index type flat, passages per second" in caplog.messages[0]


def test_a_stage_that_fails_is_reported_with_the_reason() -> None:
    told: list[StageReport] = []
    with pytest.raises(StoreError), Stages(told.append).stage("publish"):
        raise StoreError("there is no space left", where="/index")
    assert json.loads(told[0].model_dump_json())["error"] == "/index: there is no space left"
    assert str(told[0]).startswith("publish failed: ")


def test_a_fault_of_the_program_is_no_report() -> None:
    told: list[StageReport] = []
    with pytest.raises(ZeroDivisionError), Stages(told.append).stage("index"):
        raise ZeroDivisionError
    assert told == []


def test_stages_need_nobody_who_listens() -> None:
    with Stages().stage("verify") as stage:
        stage.count(files=4)
