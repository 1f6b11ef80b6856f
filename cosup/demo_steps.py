"""The steps of `cosup demo`, each by the command that a user would type, each with its time."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import httpx
import typer
from pydantic import BaseModel, ValidationError

from cosup.child_service import child_service
from cosup.demo import DemoSettings
from semiparametric.errors import CosupError
from semiparametric.pair import read_spec
from semiparametric.store import current_version
from service.schemas import GenerateResponse
from service.terminal import cited_passages, write_answer

_ANSWER_TIMEOUT_S = 120.0


class Built(BaseModel):
    """What the index in the demo's folder was built from, so that the next demo can tell whether to build again."""

    corpus_sha256: str
    fingerprint: str
    version: int


def run(settings: DemoSettings, questions: Sequence[str]) -> None:
    """Make the corpus, index it, serve it, ask, and stop the service, or leave it running where the settings say so.

    Raises:
        CosupError: A step failed; the message says which and why.
    """
    fingerprint = read_spec(settings.pair).fingerprint
    folder = _working_folder(settings.folder)
    corpus, index = folder / "corpus.jsonl.gz", folder / "python"
    with _step("1/4 Corpus from the documentation of this Python"):
        _cosup("corpus", "python", "--out", str(corpus))
    with _step("2/4 Index"):
        _build_index(settings.pair, corpus, index, folder / "built.json", fingerprint)
    options = ["--pair", str(settings.pair), "--index", str(index), "--port", str(settings.service_port)]
    with child_service(options, folder / "service.log") as service:
        with _step("3/4 Service"):
            typer.echo(f"ready on {service.wait_until_ready()}")
        with _step("4/4 Questions over HTTP"):
            for question in questions:
                _ask(service.url, question)
        if settings.keep_serving:
            typer.echo(f"The service stays on {service.url} (try {service.url}/docs). Ctrl-C stops it.")
            service.wait()
    typer.echo("The service has stopped cleanly.")


def _working_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", "utf-8")  # whatever repository it stands in, it is no part of it
    return folder


@contextmanager
def _step(title: str) -> Iterator[None]:
    typer.secho(f"== {title}", bold=True)
    start = perf_counter()
    yield
    typer.echo(f"   {perf_counter() - start:.1f} s\n")


def _cosup(*arguments: str) -> None:
    """Run a `cosup` command as a child process; its output goes where ours goes."""
    sys.stdout.flush()
    ended = subprocess.run([sys.executable, "-m", "cosup", *arguments], check=False)  # noqa: S603 - our own command
    if ended.returncode != 0:
        raise CosupError(
            f"it ended with exit code {ended.returncode}",
            where=f"cosup {' '.join(arguments)}",
            remedy="Its own message stands above",
        )


def _build_index(pair: Path, corpus: Path, index: Path, record: Path, fingerprint: str) -> None:
    digest = hashlib.sha256(corpus.read_bytes()).hexdigest()
    wanted = (digest, fingerprint)
    if _is_built(record, index, wanted):
        typer.echo(f"{index}: built already from this corpus with this pair")
        return
    _cosup("index", "build", "--pair", str(pair), "--corpus", str(corpus), "--out", str(index))
    version = current_version(index)
    if version is None:
        raise CosupError("the build ended and published nothing", where=str(index))
    built = Built(corpus_sha256=digest, fingerprint=fingerprint, version=version)
    record.write_text(built.model_dump_json(indent=2) + "\n", "utf-8")


def _is_built(record: Path, index: Path, wanted: tuple[str, str]) -> bool:
    if not record.is_file():
        return False
    try:
        built = Built.model_validate_json(record.read_bytes())
    except ValidationError:
        return False
    return (built.corpus_sha256, built.fingerprint) == wanted and built.version == current_version(index)


def _ask(url: str, question: str) -> None:
    typer.echo()
    typer.secho(f"Q: {question}", bold=True)
    try:
        reply = httpx.post(f"{url}/generate", json={"question": question}, timeout=_ANSWER_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        raise CosupError(f"no answer to {question!r} ({error!r})", where=url) from error
    if reply.status_code != httpx.codes.OK:
        raise CosupError(f"status {reply.status_code} for {question!r}: {reply.text}", where=url)
    response = GenerateResponse.model_validate_json(reply.content)
    typer.echo("A: ", nl=False)
    write_answer(response, lambda text: typer.echo(text, nl=False))
    typer.echo("\n")
    typer.echo(cited_passages(response) or "   (It cites no passage.)\n")
