"""schemathesis over the whole OpenAPI document of a real service; `make fuzz-api` runs it long."""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cosup.child_service import ChildService, child_service
from service.keys.key_file import create_key
from tests.conftest import save_tiny_pair
from tests.small_index import build_small_index
from tests.system.schemathesis_hooks import INDEX, MODEL

ROOT = Path(__file__).parents[2]
_CONFIG = Path(__file__).with_name("schemathesis.toml")


@contextmanager
def tried_service(folder: Path, *, keys: bool) -> Iterator[tuple[ChildService, list[str]]]:
    """A service with everything that it can offer, over a tiny random pair; and the headers that its requests need.

    It takes bodies of any size that schemathesis sends, since no schema tells how large a body may be.
    """
    pair = save_tiny_pair(folder / MODEL, seed=0)
    index = build_small_index(pair, folder / INDEX, name=INDEX)
    options = ["--pair", str(pair), "--index", str(index), "--port", "0", "--threads", "1", "--embeddings", "--mcp"]
    options += ["--max-new-tokens", "4", "--max-new-tokens-limit", "16", "--max-body-bytes", "10000000"]
    headers: list[str] = []
    if keys:
        key = create_key(folder / "keys.json", "fuzzer", ["*"], admin=True)
        options += ["--keys", str(folder / "keys.json")]
        headers += ["--header", f"Authorization: Bearer {key.get_secret_value()}"]
    with child_service(options, folder / "log") as service:
        service.wait_until_ready()
        yield service, headers


def try_api(url: str, headers: list[str], max_examples: int) -> subprocess.CompletedProcess[str]:
    """Run schemathesis with all checks, that many requests at most for each operation and phase."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(_CONFIG), "run", f"{url}/openapi.json"]
    options = ["--checks", "all", "--max-examples", str(max_examples), "--continue-on-failure", "--no-color"]
    return subprocess.run(
        [*command, *options, *headers],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def main() -> int:
    """Try a service without keys and one with keys; 1 where a check failed."""
    parser = argparse.ArgumentParser(
        description="schemathesis over the whole API of a service with a tiny random pair."
    )
    parser.add_argument("--max-examples", type=int, default=200, help="requests for each operation and phase, at most")
    max_examples = parser.parse_args().max_examples
    failed = False
    for keys in (False, True):
        with TemporaryDirectory() as folder, tried_service(Path(folder), keys=keys) as (service, headers):
            sys.stdout.write(f"A service {'with' if keys else 'without'} keys:\n\n")
            ended = try_api(service.url, headers, max_examples)
            sys.stdout.write(f"{ended.stdout}\n")
            failed |= ended.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
