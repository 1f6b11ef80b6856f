"""A running service follows its file of keys."""

import logging
from pathlib import Path

import pytest

from semiparametric.errors import InputError
from service.keys.key_file import create_key, revoke_key
from service.keys.ring import KeyRing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def move(file: Path, to: Path) -> None:
    file.rename(to)


def write(file: Path, text: str) -> None:
    file.write_text(text)


async def test_a_key_made_or_revoked_while_serving_is_known(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "service.keys")
    alice = create_key(path, "alice", ["*"]).get_secret_value()
    ring = KeyRing(path, look_s=0)
    bob = create_key(path, "bob", ["*"]).get_secret_value()
    assert await ring.find(bob)
    revoke_key(path, "alice")
    assert await ring.find(alice) is None
    assert await ring.find(bob)
    assert [record.__dict__["fields"] for record in caplog.records] == [{"keys": 2}, {"keys": 1}]


async def test_the_file_is_not_looked_at_for_every_request(path: Path) -> None:
    alice = create_key(path, "alice", ["*"]).get_secret_value()
    ring = KeyRing(path, look_s=1000)
    revoke_key(path, "alice")
    assert await ring.find(alice)


@pytest.mark.bad_input
async def test_without_its_file_everybody_is_refused_until_it_is_back(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alice = create_key(path, "alice", ["*"]).get_secret_value()
    ring = KeyRing(path, look_s=0)
    move(path, path.with_name("elsewhere"))
    assert await ring.find(alice) is None
    assert await ring.find(alice) is None
    assert caplog.text.count("the file of keys is gone, so nobody is let in") == 1
    move(path.with_name("elsewhere"), path)
    assert await ring.find(alice)


@pytest.mark.bad_input
async def test_a_file_that_became_no_file_of_keys_leaves_those_before_and_is_logged_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alice = create_key(path, "alice", ["*"]).get_secret_value()
    ring = KeyRing(path, look_s=0)
    write(path, "not JSON")
    assert await ring.find(alice)
    assert await ring.find(alice)
    assert caplog.text.count("is no file of keys") == 1
    assert "The keys that were read before stay" in caplog.text


def test_a_service_does_not_start_without_its_file(path: Path) -> None:
    with pytest.raises(InputError, match="there is no file of keys"):
        KeyRing(path)
