"""Run beside the containers by test_containers.py: ask the service, rebuild the index with the job, ask again."""

import json
import os
import subprocess
import sys
from time import monotonic, sleep
from typing import Any

import httpx
import typer

URL = "http://127.0.0.1:8000"
QUESTION = "What does textwrap.dedent do?"


def main(compose_file: str) -> None:
    with httpx.Client(base_url=URL, timeout=60, trust_env=False) as service:
        ask(service)
        page = service.get("/")
        typer.echo(f"GET / -> {page.status_code} {page.headers['content-type']}")
        before = version(service)
        typer.echo(rebuild(compose_file, "list", "/srv/indexes/python"))
        typer.echo(rebuild(compose_file, "rebuild"))
        assert version(service) == before, "nothing has changed, and yet there is a new version"
        typer.echo(rebuild(compose_file, "delete", "/srv/indexes/python", "--id", "python:textwrap.dedent"))
        wait_for_version(service, before + 1)
        typer.echo(rebuild(compose_file, "rebuild", "--sources-only"))
        wait_for_version(service, before + 2)
        ask(service)


def ask(service: httpx.Client) -> None:
    reply = service.post("/generate", json={"question": QUESTION}).raise_for_status().json()
    typer.echo(f"Q: {QUESTION}\nA: {reply['answer']}\n   {json.dumps(reply['citations'])} of {reply['index']}")
    assert reply["citations"], "an answer without a citation"


def version(service: httpx.Client) -> int:
    found: dict[str, Any] = service.get("/indexes/python").raise_for_status().json()
    return int(found["version"])


def wait_for_version(service: httpx.Client, wanted: int) -> None:
    until = monotonic() + 60
    while version(service) != wanted:
        if monotonic() > until:
            raise SystemExit(f"the service has not taken up version {wanted} within a minute")
        sleep(0.5)
    typer.echo(f"the service has taken up version {wanted}")


def rebuild(compose_file: str, *arguments: str) -> str:
    compose = ["docker-compose", "-p", os.environ["PROJECT"], "-f", compose_file]
    command = [*compose, "run", "--rm", "-T", "index-builder", *arguments]
    attached = os.environ | {"COMPOSE_INTERACTIVE_NO_CLI": "1"}  # version 1 calls `docker start` unless told not to
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=attached)
    if ended.returncode != 0:
        raise SystemExit(f"index-builder {arguments} ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
    return f"$ index-builder {' '.join(arguments)}\n{ended.stdout}"


if __name__ == "__main__":
    main(sys.argv[1])
