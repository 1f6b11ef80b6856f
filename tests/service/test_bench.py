"""The parts of `cosup bench-serve`: questions, what comes of one, figures and their table."""

import gzip
import json
import statistics
from pathlib import Path
from random import Random

import httpx
import pytest

from semiparametric.errors import InputError
from service.bench.client import BenchClient
from service.bench.outcome import Outcome
from service.bench.questions import read_questions
from service.bench.report import figures_of, table_of
from service.bench.settings import BenchServeSettings
from tests.service.test_client_streams import FAILED, PROBLEM, URL, WHOLE, answering

STREAM = {"content-type": "text/event-stream"}


def answer(began_s: float, latency_s: float, **fields: object) -> Outcome:
    outcome = Outcome(began_s, "200", latency_s, queue_s=0.0, lookup_s=0.001, engine_s=latency_s - 0.002)
    for name, value in fields.items():
        setattr(outcome, name, value)
    return outcome


def test_percentiles_of_a_hundred_and_one_known_latencies_are_those_latencies() -> None:
    latencies = [number / 1000 for number in range(101)]
    Random(0).shuffle(latencies)
    times = figures_of([answer(0.0, latency) for latency in latencies]).times_ms["whole answer"]
    assert (times.p50, times.p90, times.p95, times.p99, times.max) == pytest.approx((50, 90, 95, 99, 100))
    assert times.mean == pytest.approx(statistics.mean(latencies) * 1000)
    assert times.count == 101


def test_rates_count_whole_answers_between_the_first_request_and_the_last_end() -> None:
    outcomes = [
        answer(1.0, 2.0, completion_tokens=30, retrievals=1),
        answer(2.0, 3.0, completion_tokens=50, retrievals=3),
        Outcome(1.5, "503", 0.01, completion_tokens=0),
    ]
    figures = figures_of(outcomes)
    assert figures.seconds == 4.0
    assert (figures.answers_per_s, figures.tokens_per_s, figures.lookups_per_s) == (0.5, 20.0, 1.0)
    assert (figures.requests, figures.answered, figures.statuses) == (3, 2, {"200": 2, "503": 1})


def test_a_quick_refusal_does_not_make_the_answers_look_quick() -> None:
    outcomes = [answer(0.0, 1.0), *(Outcome(0.0, "503", 0.001) for _ in range(99))]
    assert figures_of(outcomes).times_ms["whole answer"].p50 == pytest.approx(1000)


def test_gaps_of_all_answers_are_taken_together_and_pauses_apart() -> None:
    outcomes = [answer(0, 1, gaps_s=[0.01, 0.03], pauses_s=[0.5]), answer(0, 1, gaps_s=[0.02])]
    times = figures_of(outcomes).times_ms
    assert times["between pieces"].count == 3
    assert times["between pieces"].p50 == pytest.approx(20)
    assert times["pause at a lookup"].count == 1
    assert times["pause at a lookup"].max == pytest.approx(500)
    assert "first text" not in times


def test_a_table_shows_what_there_is_and_nothing_else() -> None:
    shown = table_of(figures_of([answer(0, 1, completion_tokens=8, retrievals=2)]))
    assert shown.splitlines()[0] == "1 requests in 1.0 s, 1 answered (200: 1)"
    assert "1.00 answers/s, 8.0 tokens/s, 2.00 lookups/s" in shown
    assert "  outside the engine         2.0" in shown
    assert "first text" not in shown
    assert table_of(figures_of([Outcome(0, "timeout", 3.0)])).splitlines()[0].endswith("0 answered (timeout: 1)")


@pytest.mark.parametrize(
    ("body", "headers", "status", "told"),
    [
        (WHOLE, STREAM, 200, "200"),
        (FAILED, STREAM, 200, "error event 500"),
        (WHOLE.partition(b"event: done")[0], STREAM, 200, "cut stream"),
        (b"", STREAM, 200, "cut stream"),
        (WHOLE, {"content-type": "text/html"}, 200, "SSEError"),
        (WHOLE.replace(b"timings", b"tidings"), STREAM, 200, "ValidationError"),
        (WHOLE, STREAM | {"content-encoding": "gzip"}, 200, "DecodingError"),
        (json.dumps(PROBLEM).encode(), {"content-type": "application/problem+json"}, 503, "503"),
    ],
)
async def test_an_outcome_says_how_a_stream_ended(body: bytes, headers: dict[str, str], status: int, told: str) -> None:
    async with httpx.AsyncClient(transport=answering([body], headers, status), base_url=URL) as http:
        client = BenchClient(BenchServeSettings(questions=Path("none")), http)
        assert (await client.ask("Why?", 0.0)).status == told


def test_questions_come_from_text_or_from_a_field_of_json_lines(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("What is a lamp?\n\n  Wo ist 灯台? \n", "utf-8")
    assert read_questions(tmp_path / "plain.txt") == ["What is a lamp?", "Wo ist 灯台?"]
    line = json.dumps({"id": "1", "question": "What is a tide?", "segments": []})
    (tmp_path / "examples.jsonl.gz").write_bytes(gzip.compress(f"{line}\n".encode()))
    assert read_questions(tmp_path / "examples.jsonl.gz") == ["What is a tide?"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", "\n \n", "none.txt: holds no question. Write one on each line"),
        ("broken.jsonl", '{"question": "a"}\n{"query": "b"}\n', "broken.jsonl, line 2"),
        ("empty.jsonl", '{"question": ""}\n', "empty.jsonl, line 1"),
    ],
)
def test_files_without_questions_are_refused(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(InputError) as refusal:
        read_questions(tmp_path / name)
    assert message in str(refusal.value)


def test_a_rate_and_a_concurrency_together_are_refused() -> None:
    with pytest.raises(InputError, match="two ways to load a service; give one of them"):
        BenchServeSettings.resolve({"questions": "q.txt", "rate": 2, "concurrency": 3})
