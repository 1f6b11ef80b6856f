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
from semiparametric.errors import CosupError
from service.app import create_app
from service.local import Ask
from service.settings import ServeSettings
from tests.evaluation.evaluations import Counted, run, settings_of
from tests.evaluation.sets import EXAMPLES, write_corpus, write_lines
from tests.small_index import build_small_index

pytestmark = pytest.mark.system


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
    stopped = pytest.raises(CosupError, match=r"does not answer any more.*give the same command again")
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
    with pytest.raises(CosupError, match=r"http://127\.0\.0\.1:9/.*does not answer any more \(ConnectError"):
        answer_all_remotely("http://127.0.0.1:9", [Ask("When?")])


def answering(status: int, body: Any, headers: dict[str, str] | None = None, *, busy: int = 0) -> FastAPI:
    """A service of another kind, which is busy for so many requests first."""
    app = FastAPI()
    left = {"busy": busy}

    @app.post("/{path}")
    async def reply(path: str) -> JSONResponse:
        if left["busy"]:
            left["busy"] -= 1
            return JSONResponse({"detail": "busy"}, 503, {"retry-after": "0"})
        return JSONResponse(body, status, headers)

    return app


def test_a_service_of_another_kind_is_refused() -> None:
    with (
        serving(answering(200, {"text": "hello"})) as (url, _),
        pytest.raises(CosupError, match=r"something else than Cosup does\. Give the address of a `cosup serve`"),
    ):
        answer_all_remotely(url, [Ask("When?")])
    with (
        serving(answering(404, {"detail": "Not Found"})) as (url, _),
        pytest.raises(CosupError, match="the service answered 404: Not Found"),
    ):
        answer_all_remotely(url, [Ask("When?")])


def test_the_index_of_a_set_is_asked_for_by_its_name_and_a_key_goes_along() -> None:
    app, seen = FastAPI(), []

    @app.post("/generate")
    async def reply(request: Request) -> JSONResponse:
        seen.append((await request.json(), request.headers["authorization"]))
        return JSONResponse({"detail": "there is no index 'wiki'"}, 404)

    with serving(app) as (url, _), pytest.raises(CosupError, match="404: there is no index 'wiki'"):
        answer_all_remotely(url, [Ask("When?", top_k=0)], index="wiki", api_key=SecretStr("k1"))
    ((body, key),) = seen
    assert (body["index"], key) == ("wiki", "Bearer k1")
    assert "candidates" not in body


def test_a_busy_service_is_asked_again() -> None:
    body = {
        "answer": "At dusk.",
        "citations": [],
        "passages": [],
        "finish_reason": "stop",
        "timings": {"total": 0.5},
    }
    with serving(answering(200, body, busy=3)) as (url, _):
        (prediction,) = answer_all_remotely(url, [Ask("When?", top_k=0)])
    assert prediction.answer == "At dusk."
