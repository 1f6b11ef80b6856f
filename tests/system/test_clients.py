"""A real service with the small trained pair, asked by the clients that people have."""

import inspect
import shutil
import time
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from mcp import Client as McpClient
from typer.testing import CliRunner

from cosup.child_service import ChildService, child_service
from cosup.cli import app
from semiparametric.formats import Passage
from service.client import AsyncClient, BusyServiceError, Client, GenerateResponse, TokenData
from tests.documents import ROOT, blocks_of
from tests.small_index import build_small_index

pytestmark = pytest.mark.system

NANO = ROOT / "models" / "nano"
QUESTION = "What does statistics.median do?"
PASSAGES = [
    Passage(
        id="python:statistics.median",
        title="statistics.median(data)",
        text="Return the median (middle value) of numeric data.\n\nWhen the number of data points is odd, return the "
        "middle data point.",
        source="https://docs.python.org/3/library/statistics.html",
    ),
    Passage(id="python:json.dumps", title="json.dumps(obj)", text="Serialize obj to a JSON formatted str."),
    Passage(id="python:glob.glob", title="glob.glob(pathname)", text="Return a list of paths matching a pathname."),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildService]:
    if not (NANO / "pair.json").is_file():
        pytest.skip("models/nano is not in this checkout: `make train-nano` makes it")
    folder = tmp_path_factory.mktemp("clients")
    index = build_small_index(NANO, folder / "index", passages=PASSAGES, name="python")
    options = ["--pair", str(NANO), "--index", str(index), "--port", "0", "--threads", "1", "--embeddings", "--mcp"]
    with child_service([*options, "--max-sessions", "1", "--queue", "0"], folder / "log") as service:
        service.wait_until_ready()
        yield service


@pytest.fixture(scope="module")
def client(service: ChildService) -> Iterator[openai.OpenAI]:
    http = httpx.Client(trust_env=False)
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", http_client=http) as client:
        yield client


def test_openais_client_gets_an_answer_with_its_citation(client: openai.OpenAI) -> None:
    [model] = client.models.list().data
    completion = client.chat.completions.create(model=model.id, messages=[{"role": "user", "content": QUESTION}])
    message = completion.choices[0].message
    assert message.content is not None
    assert "median" in message.content
    assert message.annotations
    place = message.annotations[0].url_citation
    assert place.title == "statistics.median(data)"
    assert place.url == PASSAGES[0].source
    assert message.content[place.start_index : place.end_index].strip()


def test_openais_client_streams_the_same(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    whole = client.chat.completions.create(model="nano", messages=messages)
    text, annotations = "", []
    with client.chat.completions.create(model="nano", messages=messages, stream=True) as stream:
        for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            annotations += (chunk.choices[0].delta.model_extra or {}).get("annotations", [])
    assert text == whole.choices[0].message.content
    assert annotations == [one.model_dump() for one in whole.choices[0].message.annotations or []]


def test_openais_client_can_leave_a_stream_and_the_place_is_free(client: openai.OpenAI, service: ChildService) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    extra = {"retrieval": "never"}
    with client.chat.completions.create(model="nano", messages=messages, stream=True, extra_body=extra) as stream:
        next(iter(stream))
    wait_for_a_place(service)


def test_openais_client_embeds_a_passage_as_the_index_holds_it(client: openai.OpenAI) -> None:
    texts, titles = [one.text for one in PASSAGES], [one.title for one in PASSAGES]
    reply = client.embeddings.create(model="nano", input=texts, extra_body={"titles": titles})
    norms = [sum(number * number for number in one.embedding) for one in reply.data]
    assert norms == pytest.approx([1.0] * len(PASSAGES), abs=1e-4)
    assert len(reply.data[0].embedding) == 256


async def test_the_tools_of_mcp_answer(service: ChildService) -> None:
    async with McpClient(f"{service.url}/mcp") as client:
        found = await client.call_tool("retrieve", {"query": QUESTION, "top_k": 1})
        answered = await client.call_tool("generate", {"question": QUESTION, "max_new_tokens": 64})
    assert found.structured_content["passages"][0]["id"] == "python:statistics.median"
    assert not answered.is_error
    assert "median" in answered.structured_content["answer"]


def test_a_client_of_mcp_that_hangs_up_frees_its_place(service: ChildService) -> None:
    arguments = {"question": QUESTION, "retrieval": "never", "temperature": 2.0, "max_new_tokens": 800}
    call = {"name": "generate", "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{service.url}/mcp",
            json=body,
            headers={"accept": "application/json, text/event-stream"},
            timeout=0.5,
            trust_env=False,
        )
    wait_for_a_place(service)


def test_our_client_answers_streams_looks_up_and_lists(service: ChildService) -> None:
    with Client(service.url) as client:
        whole = client.generate(QUESTION)
        events = list(client.stream(QUESTION))
        assert client.retrieve(QUESTION, top_k=1).passages[0].id == "python:statistics.median"
        assert client.indexes().default == "python"
        answers = client.generate_many([QUESTION, "What does json.dumps do?"])
    assert whole.passages[0].id == "python:statistics.median"
    assert "".join(event.text for event in events if isinstance(event, TokenData)) == whole.answer
    assert isinstance(answers[0], GenerateResponse)
    assert answers[0].answer == whole.answer


def connection_of(response: httpx.Response) -> object:
    """Our end of the connection that a response came over."""
    return response.extensions["network_stream"].get_extra_info("client_addr")


def test_streams_that_are_read_to_their_end_share_a_connection(service: ChildService) -> None:
    used = set()
    noted = {"response": [lambda response: used.add(connection_of(response))]}
    http = httpx.Client(base_url=service.url, timeout=60, trust_env=False, event_hooks=noted)
    with Client(service.url, http=http) as client:
        for _ in range(3):
            assert isinstance(list(client.stream(QUESTION, max_new_tokens=4))[-1], GenerateResponse)
    assert len(used) == 1


async def test_awaited_streams_that_are_read_to_their_end_share_a_connection(service: ChildService) -> None:
    used = set()

    async def note(response: httpx.Response) -> None:
        used.add(connection_of(response))

    http = httpx.AsyncClient(base_url=service.url, timeout=60, trust_env=False, event_hooks={"response": [note]})
    async with AsyncClient(service.url, http=http) as client:
        for _ in range(3):
            events = [event async for event in client.stream(QUESTION, max_new_tokens=4)]
            assert isinstance(events[-1], GenerateResponse)
    assert len(used) == 1


def test_ask_with_a_url_shows_what_the_service_answers(service: ChildService, tmp_path: Path) -> None:
    local = build_small_index(NANO, tmp_path / "index", passages=PASSAGES, name="python")
    there = CliRunner().invoke(app, ["ask", QUESTION, "--url", service.url])
    here = CliRunner().invoke(app, ["ask", QUESTION, "--pair", str(NANO), "--index", str(local)])
    assert there.exit_code == 0, there.stderr
    assert "[1] statistics.median(data)" in there.stdout
    assert there.stdout == here.stdout
    shutil.rmtree(local)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--index", "large"], "Error: there is no index 'large'; served here: 'python'"),
        (["--max-new-tokens", "5000"], "5000 is more than this service allows. Ask for 1024 at most"),
        (["--url", "http://127.0.0.1:9"], "http://127.0.0.1:9: the service did not answer"),
        (["--url", "localhost:8000"], "url: String should match pattern"),
    ],
)
def test_ask_with_a_url_ends_with_one_clear_line(service: ChildService, arguments: list[str], message: str) -> None:
    asked = CliRunner().invoke(app, ["ask", QUESTION, "--url", service.url, *arguments])
    assert asked.exit_code == 2
    assert message in asked.stderr
    assert "Traceback" not in asked.stderr


@pytest.mark.parametrize("page", ["openai.md", "client.md"])
async def test_the_programs_in_the_documents_run(service: ChildService, page: str) -> None:
    names: dict[str, Any] = {}
    for block in blocks_of((ROOT / "docs" / page).read_text("utf-8"), "python"):
        program = compile(block.replace("http://localhost:8000", service.url), page, "exec", PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(program, names)
        if inspect.isawaitable(running):
            await running
    assert {"completion", "reply", "found"} <= names.keys() or names["answer"].answer


def wait_for_a_place(service: ChildService) -> None:
    """Until the only place is free: at once, or the test that left it taken fails."""
    deadline = time.monotonic() + 5
    with Client(service.url) as client:
        while True:
            try:
                client.generate(QUESTION, max_new_tokens=1)
            except BusyServiceError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return
