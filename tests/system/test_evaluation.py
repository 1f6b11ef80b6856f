"""A service asked over HTTP: the same figures as the pair in this process, and what happens when it stops."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import SecretStr

from cosup.child_service import child_service
from evaluation.remote import answer_all_remotely
from evaluation.run import Watching, evaluate
from evaluation.settings import EvalSettings
from semiparametric.errors import BusyError, CosupError
from service import examples
from service.app import create_app
from service.local import Ask
from service.settings import ServeSettings
from tests.evaluation.evaluations import Counted, run, settings_of
from tests.evaluation.sets import EXAMPLES, write_corpus, write_lines
from tests.small_index import build_small_index

pytestmark = pytest.mark.system

ANSWER: dict[str, Any] = examples.ANSWER
PROBLEM = {"type": "about:blank", "title": "No", "request_id": "r1"}


@contextmanager
def serving(app: Any) -> Iterator[tuple[str, uvicorn.Server]]:
    """A real uvicorn on a free port, its address and itself."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", server
    finally:
        server.should_exit = True
        thread.join(30)


def test_a_service_has_the_figures_of_its_pair(tiny_pair: Path, tmp_path: Path) -> None:
    index = build_small_index(tiny_pair, tmp_path / "index")
    dataset = {
        "file": write_lines(tmp_path / "e.jsonl", *EXAMPLES, EXAMPLES[0] | {"id": "long", "question": "lamp " * 2000}),
        "corpus": write_corpus(tmp_path / "corpus.jsonl"),
    }
    systems = ["pair", "bm25", "closed-book", "oracle"]
    local = settings_of(
        tmp_path / "local", pair=tiny_pair, systems=systems, datasets={"small": dataset | {"index": index}}
    )
    with serving(create_app(ServeSettings.resolve({"pair": tiny_pair, "index": [str(index)]}))) as (url, _):
        served = settings_of(tmp_path / "served", url=url, systems=systems, datasets={"small": dataset})
        theirs = run(served)
    ours = run(local)
    for system, told in theirs.sets["small"].systems.items():
        assert told.figures == ours.sets["small"].systems[system].figures, system
        assert told.slices == ours.sets["small"].systems[system].slices, system
    assert theirs.sets["small"].systems["pair"].refused == 1


@pytest.mark.slow
def test_an_evaluation_of_a_service_that_stopped_goes_on_when_it_is_back(tiny_pair: Path, tmp_path: Path) -> None:
    index = build_small_index(tiny_pair, tmp_path / "index")
    examples = [EXAMPLES[0] | {"id": f"e{number}"} for number in range(60)]
    dataset = {"file": write_lines(tmp_path / "e.jsonl", *examples)}
    options = ["--pair", str(tiny_pair), "--index", str(index), "--port", "0"]

    def settings(url: str) -> EvalSettings:
        return settings_of(tmp_path / "out", url=url, systems=["pair"], datasets={"small": dataset})

    first, second = Counted(), Counted()
    stopped = pytest.raises(CosupError, match=r"did not answer.*Give the same command again")
    with stopped, child_service(options, tmp_path / "first.log") as service:
        url = service.wait_until_ready()

        def kill_half_way() -> None:
            first.answered += 1
            if first.answered == 5:
                service.kill()

        evaluate(settings(url), watching=Watching(on_answer=kill_half_way))
    assert 5 <= first.answered < 60
    with child_service(options, tmp_path / "second.log") as service:
        report = run(settings(service.wait_until_ready()), second)  # at another port
    assert (second.known, second.answered) == (first.answered, 60 - first.answered)
    assert report.sets["small"].systems["pair"].asked == 60


def test_a_service_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        CosupError, match=r"http://127\.0\.0\.1:9: the service did not answer \(ConnectError.*Give the same"
    ):
        answer_all_remotely("http://127.0.0.1:9", [Ask("When?")])


def answering(status: int, body: Any, *, busy: tuple[int, ...] = ()) -> FastAPI:
    """A service of another kind, which is busy first: with these statuses, one after the other."""
    app = FastAPI()
    left = list(busy)

    @app.post("/{path}")
    async def reply(path: str) -> JSONResponse:
        if left:
            return JSONResponse({"detail": "busy"}, left.pop(0), {"retry-after": "0"})
        return JSONResponse(body, status)

    return app


def test_a_service_of_another_kind_is_refused() -> None:
    for status, body, match in (
        (200, {"text": "hello"}, r"http://127\.0\.0\.1:\d+: it answered something else than RetrieveResponse"),
        (404, {"detail": "Not Found"}, "HTTP status 404: .*Not Found.*Give the same command again"),
        (405, {"detail": "Method Not Allowed"}, "HTTP status 405"),
    ):
        with serving(answering(status, body)) as (url, _), pytest.raises(CosupError, match=match):
            answer_all_remotely(url, [Ask("When?")])


def test_the_index_of_a_set_is_asked_for_by_its_name_and_a_key_goes_along() -> None:
    app, seen = FastAPI(), []

    @app.post("/generate")
    async def reply(request: Request) -> JSONResponse:
        seen.append((await request.json(), request.headers["authorization"]))
        return JSONResponse(PROBLEM | {"status": 404, "detail": "there is no index 'wiki'"}, 404)

    with serving(app) as (url, _), pytest.raises(CosupError, match="there is no index 'wiki'"):
        answer_all_remotely(url, [Ask("When?", top_k=0)], index="wiki", api_key=SecretStr("k1"))
    ((body, key),) = seen
    assert (body["index"], key) == ("wiki", "Bearer k1")
    assert body["candidates"] is None


def test_a_service_that_is_busy_or_limits_its_keys_is_asked_again() -> None:
    with serving(answering(200, ANSWER, busy=(503, 429, 503))) as (url, _):
        (prediction,) = answer_all_remotely(url, [Ask("When?", top_k=0)])
    assert prediction.answer == ANSWER["answer"]


def test_a_service_that_stays_too_busy_is_refused_in_the_end() -> None:
    with (
        serving(answering(200, ANSWER, busy=(503,) * 20)) as (url, _),
        pytest.raises(BusyError, match=r"HTTP status 503: .*busy.*Give the same command again"),
    ):
        answer_all_remotely(url, [Ask("When?", top_k=0)])


def test_a_question_that_the_service_refuses_has_a_prediction_that_says_so() -> None:
    with serving(answering(422, PROBLEM | {"status": 422, "detail": "the question is empty"})) as (url, _):
        (prediction,) = answer_all_remotely(url, [Ask("When?", top_k=0)])
    assert (prediction.answer, prediction.refusal) == (None, "the question is empty")
