"""The whole API, asked what nobody would think of: it does what its OpenAPI document says."""

import json
from pathlib import Path

import pytest

from tests.system.whole_api import tried_service, try_api


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("keys", [False, True], ids=["without keys", "with keys"])
def test_no_check_of_schemathesis_fails_on_any_operation(tmp_path: Path, keys: bool) -> None:
    with tried_service(tmp_path, keys=keys) as (service, headers):
        ended = try_api(service.url, headers, max_examples=10)
        log = service.log.read_text("utf-8")
    assert ended.returncode == 0, ended.stdout
    assert "No issues found" in ended.stdout
    assert not [line for line in log.splitlines() if json.loads(line)["level"] == "error"]
