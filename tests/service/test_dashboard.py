"""The dashboard and the scrape settings in `docker/`: their queries are PromQL and ask for metrics that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.documents import ROOT, tokens_of
from tests.service.running import running_app
from tests.small_index import build_small_index

DASHBOARD = json.loads((ROOT / "docker" / "grafana" / "dashboards" / "cosup.json").read_text("utf-8"))
VARIABLES = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*", "$index": ".*"}
VLLMS = "vllm:"  # tests/vllm/test_service.py looks for these


def queries() -> Iterator[str]:
    """Every query of the dashboard, its variables replaced as Grafana does."""
    shown = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    asked = [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]
    for query in shown + asked:
        for name, value in VARIABLES.items():
            query = query.replace(name, value)
        yield query


def selected(query: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics of a query, each with the labels it is chosen by."""
    selectors: list[Any] = []

    def visit(node: object) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            selectors.append(node)

    promql_parser.walk(promql_parser.parse(query), visit)
    for selector in selectors:
        yield selector.name, {matcher.name for matcher in selector.matchers.matchers}


async def exposed(pair: Path, folder: Path) -> str:
    """The metrics of a service that has answered, refused and looked up."""
    index = build_small_index(pair, folder / "small")
    question = {"question": "Who lights the lamp?", "retrieval": "first", "max_new_tokens": 4}
    async with running_app(pair=pair, index=index) as client:
        for body in (question, question | {"min_score": 2}, {}):
            await client.post("/generate", json=body)
        reply: httpx.Response = await client.get("/metrics")
    return reply.text


async def test_the_dashboard_asks_for_metrics_and_labels_that_the_service_has(tiny_pair: Path, tmp_path: Path) -> None:
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(await exposed(tiny_pair, tmp_path)):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    asked = [one for query in queries() for one in selected(query) if not one[0].startswith(VLLMS)]
    assert len(asked) > 40
    for name, chosen_by in asked:
        assert name in labels
        assert chosen_by <= labels[name] | {"job", "instance"}, name


async def test_the_document_lists_every_metric_of_the_service_and_no_other(tiny_pair: Path, tmp_path: Path) -> None:
    text = await exposed(tiny_pair, tmp_path)
    families = [family for family in text_string_to_metric_families(text) if family.name.startswith("cosup:")]
    suffix = {"counter": "_total"}
    names = {family.name + suffix.get(family.type, "") for family in families if not family.name.endswith("_created")}
    document = (ROOT / "docs" / "observe.md").read_text("utf-8")
    listed = [token.content for token in tokens_of(document) if token.type == "code_inline"]
    assert {name for name in listed if re.fullmatch(r"cosup:\w+", name)} == names


@pytest.mark.parametrize("query", ["sum(rate(cosup:answers_total[5m])", "rate(x[5m]))", "histogram_quantile(0.9, )"])
def test_a_query_that_is_no_promql_is_noticed(query: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        list(selected(query))


def test_every_panel_has_a_title_a_place_of_its_own_and_the_chosen_source() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_prometheus_is_told_to_scrape_the_metrics_of_the_service() -> None:
    settings = yaml.safe_load((ROOT / "docker" / "prometheus.yml").read_text("utf-8"))
    [job] = settings["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    assert job["dns_sd_configs"][0]["port"] == 8000


def test_grafana_finds_its_source_and_the_dashboards() -> None:
    provisioning = ROOT / "docker" / "grafana" / "provisioning"
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text("utf-8"))["datasources"]
    assert source["type"] == "prometheus"
    [provider] = yaml.safe_load((provisioning / "dashboards" / "cosup.yml").read_text("utf-8"))["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
