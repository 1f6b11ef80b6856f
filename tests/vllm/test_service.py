"""`cosup serve --engine vllm` as a real process, with the trained pair of this project, also when vLLM dies."""

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cosup.child_service import ChildService, child_service
from index_builder.build import build_index
from index_builder.python_docs.corpus import build_corpus
from index_builder.python_docs.settings import PythonCorpusSettings
from index_builder.settings import BuildSettings
from semiparametric.formats import write_jsonl
from service.local import Ask, ModelSettings, answer_all

pytestmark = [pytest.mark.slow, pytest.mark.system]

PAIR = Path(__file__).parents[2] / "models" / "nano"
MODULES = ("python:bisect", "python:heapq", "python:statistics", "python:textwrap")
QUESTIONS = [
    "What does statistics.median do?",
    "What does heapq.nlargest do?",
    "What is the difference between textwrap.fill and textwrap.shorten?",
    "What does bisect.insort do?",
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation of a few modules of the running Python."""
    folder = tmp_path_factory.mktemp("docs")
    documented = build_corpus(PythonCorpusSettings(out=folder / "unused.jsonl")).passages
    write_jsonl(folder / "corpus.jsonl", [passage for passage in documented if passage.id.startswith(MODULES)])
    settings = BuildSettings(pair=PAIR, corpus=[folder / "corpus.jsonl"], out=folder / "index", index_type="flat")
    build_index(settings)
    return settings.out


@pytest.fixture(scope="module")
def service(index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildService]:
    log = tmp_path_factory.mktemp("service") / "log"
    options = ["--engine", "vllm", "--pair", str(PAIR), "--index", str(index), "--port", "0"]
    with child_service([*options, "--vllm", "enforce_eager=true"], log) as service:
        service.wait_until_ready()
        yield service


def engines() -> list[psutil.Process]:
    """The processes of vLLM that the services under test have started."""
    return [child for child in psutil.Process().children(recursive=True) if "EngineCore" in child.name()]


def ask(service: ChildService, question: str) -> httpx.Response:
    body = {"question": question, "retrieval": "first"}
    return httpx.post(f"{service.url}/generate", json=body, timeout=300, trust_env=False)


def test_its_answers_are_cited_and_equal_the_embedded_engines(service: ChildService, index: Path) -> None:
    asks = [Ask(question, retrieval="first", max_new_tokens=256) for question in QUESTIONS]
    local = answer_all(ModelSettings(pair=PAIR, index=index), asks)
    for question, reply in zip(QUESTIONS, local, strict=True):
        found = ask(service, question).json()
        assert reply.answer is not None
        assert found["answer"] == reply.answer.text
        cited = [(one.start, one.end, one.passage_id) for one in reply.answer.citations]
        assert [(one["start"], one["end"], one["passage_id"]) for one in found["citations"]] == cited
        assert cited


def test_an_answer_streams(service: ChildService) -> None:
    body = {"question": QUESTIONS[0], "retrieval": "first", "stream": True}
    with httpx.stream("POST", f"{service.url}/generate", json=body, timeout=300, trust_env=False) as reply:
        lines = list(reply.iter_lines())
    events = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert events[0] == "retrieval"
    assert events[-1] == "done"
    text = "".join(item["text"] for event, item in zip(events, data, strict=True) if event == "token")
    assert text == ask(service, QUESTIONS[0]).json()["answer"]


def test_metrics_are_vllms_and_ours_and_agree_on_what_was_decoded(service: ChildService) -> None:
    before = metrics(service)
    usage = ask(service, QUESTIONS[0]).json()["usage"]
    after = metrics(service)
    assert usage["retrievals"] > 0

    def added(name: str) -> float:
        return after[name] - before[name]

    assert added("cosup:answers_total") == added("cosup:time_to_first_token_seconds_count") == 1
    assert added("cosup:lookups_total") == added("cosup:query_state_time_seconds_count") == usage["retrievals"]
    assert added("cosup:completion_tokens_total") == usage["completion_tokens"]
    assert added("cosup:forwarded_tokens_total") == usage["forwarded_tokens"]
    assert added("vllm:generation_tokens_total") >= usage["completion_tokens"]
    shown = (PAIR.parents[1] / "docker" / "grafana" / "dashboards" / "cosup.json").read_text("utf-8")
    assert set(re.findall(r"vllm:\w+", shown)) <= after.keys()


def metrics(service: ChildService) -> dict[str, float]:
    """The samples of a scrape by name, summed over their labels."""
    text = httpx.get(f"{service.url}/metrics", trust_env=False).raise_for_status().text
    sums: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] += sample.value
    return sums


def test_it_says_503_while_vllm_is_dead_and_answers_when_it_is_back(service: ChildService) -> None:
    expected = ask(service, QUESTIONS[1]).json()["answer"]
    engine = engines()
    assert engine
    for process in engine:
        process.kill()
    psutil.wait_procs(engine, timeout=60)
    refused = ask(service, QUESTIONS[1])
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    assert "the decoding engine died" in refused.json()["detail"]
    assert int(refused.headers["retry-after"]) > 0
    deadline = time.monotonic() + 600
    while (reply := ask(service, QUESTIONS[1])).status_code == 503 and time.monotonic() < deadline:
        time.sleep(1)
    assert reply.json()["answer"] == expected


def test_a_service_that_is_asked_to_end_leaves_no_process_behind(index: Path, tmp_path: Path) -> None:
    options = ["--engine", "vllm", "--pair", str(PAIR), "--index", str(index), "--port", "0"]
    others = engines()
    with child_service([*options, "--vllm", "enforce_eager=true"], tmp_path / "log") as service:
        service.wait_until_ready()
        [own] = [engine for engine in engines() if engine not in others]
        service.stop()
        _, alive = psutil.wait_procs([own], timeout=60)
        assert not alive
