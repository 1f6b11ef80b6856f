"""Keys and the file they are kept in: hashed, changed by one rename, and refused where it is no file of keys."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from semiparametric.errors import InputError
from service.keys.key import find, hash_of, new_secret
from service.keys.key_file import create_key, read_keys, revoke_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_is_found_by_its_secret_and_by_nothing_like_it(path: Path) -> None:
    secrets = {name: create_key(path, name, ["python"]).get_secret_value() for name in ("alice", "bob", "carol")}
    keys = read_keys(path)
    for name, secret in secrets.items():
        found = find(keys, secret)
        assert found is not None
        assert found.name == name
        for wrong in ("", name, secret[:-1], secret + "A", secret.swapcase(), hash_of(secret), f" {secret}", "\ud800"):
            assert find(keys, wrong) is None


def test_keys_are_long_and_never_the_same() -> None:
    secrets = {new_secret().get_secret_value() for _ in range(1000)}
    assert len(secrets) == 1000
    assert all(re.fullmatch(r"cosup_[A-Za-z0-9_-]{43}", secret) for secret in secrets)


def test_a_secret_does_not_show_itself(path: Path) -> None:
    secret = create_key(path, "alice", ["*"])
    assert secret.get_secret_value() not in f"{secret!r} {secret} {path.read_text()} {read_keys(path)!r}"
    assert read_keys(path)[0].sha256 not in repr(read_keys(path))


def test_what_a_key_may_read_is_what_it_was_made_for(path: Path) -> None:
    create_key(path, "one", ["python"])
    create_key(path, "all", ["*"], admin=True)
    one, every = (key.access for key in read_keys(path))
    assert (one.may_read("python"), one.may_read("handbook"), one.may_read("*"), one.is_admin) == (
        True,
        False,
        False,
        False,
    )
    assert (every.may_read("python"), every.may_read("handbook"), every.is_admin) == (True, True, True)


def test_a_revoked_key_is_gone_and_the_others_stay(path: Path) -> None:
    alice, bob = (create_key(path, name, ["*"]).get_secret_value() for name in ("alice", "bob"))
    revoke_key(path, "alice")
    assert find(read_keys(path), alice) is None
    assert find(read_keys(path), bob) is not None
    revoke_key(path, "bob")
    assert read_keys(path) == []


def test_a_new_file_is_its_owners_alone_and_an_old_one_keeps_its_mode(path: Path) -> None:
    create_key(path, "alice", ["*"])
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    create_key(path, "bob", ["*"])
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_to_the_file_stays_a_link(path: Path) -> None:
    create_key(path, "alice", ["*"])
    link = path.with_name("link.json")
    link.symlink_to(path)
    create_key(link, "bob", ["*"])
    assert link.is_symlink()
    assert [key.name for key in read_keys(path)] == ["alice", "bob"]


def test_keys_made_at_the_same_time_are_all_kept(path: Path) -> None:
    names = [f"key-{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: create_key(path, name, ["*"]), names))
    assert sorted(key.name for key in read_keys(path)) == sorted(names)
    assert {file.name for file in path.parent.iterdir()} == {"keys.json", ".keys.json.lock"}


@pytest.mark.bad_input
def test_a_second_key_of_one_name_is_refused(path: Path) -> None:
    create_key(path, "alice", ["*"])
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"there is a key 'alice' already\. Choose another name, or revoke it first"):
        create_key(path, "alice", ["python"])
    assert path.read_bytes() == before


@pytest.mark.bad_input
def test_revoking_what_is_not_there_is_refused_with_what_is(path: Path) -> None:
    create_key(path, "alice", ["*"])
    with pytest.raises(InputError, match=r"there is no key 'bob'\. There are: alice"):
        revoke_key(path, "bob")
    with pytest.raises(InputError, match=r"there is no key 'bob'\. There are: none"):
        revoke_key(path.with_name("other.json"), "bob")


@pytest.mark.bad_input
def test_a_file_that_cannot_be_written_is_refused_and_left_as_it_was(path: Path) -> None:
    with pytest.raises(InputError, match="the file of keys cannot be written"):
        create_key(path / "below" / "nothing", "alice", ["*"])
    path.mkdir()
    with pytest.raises(InputError, match="the file of keys cannot be read"):
        create_key(path, "alice", ["*"])


def altered(**values: object) -> dict[str, object]:
    key = {"name": "a", "sha256": "0" * 64, "indexes": ["*"], "admin": False, "requests_per_minute": None}
    return key | {"concurrent_requests": None, "created": "2026-01-01T00:00:00Z"} | values


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (b"", "is no file of keys: it: Invalid JSON"),
        (b"cosup_secret", "is no file of keys: it: Invalid JSON"),
        (b"[]", "is no file of keys: it"),
        (b"\xff\xfe", "is no file of keys"),
        ({"format_version": 2, "keys": []}, "format_version: Input should be 1"),
        ({"keys": [], "more": 1}, "more: Extra inputs are not permitted"),
        ({"keys": [altered(admin="perhaps")]}, r"keys\.0\.admin: Input should be a valid boolean"),
        ({"keys": [altered(sha256="cosup_plain")]}, r"keys\.0\.sha256: String should match pattern"),
        ({"keys": [altered(indexes=[])]}, r"keys\.0\.indexes: List should have at least 1 item"),
        ({"keys": [altered(indexes=["*", "a"])]}, r"keys\.0\.indexes: Value error, '\*' means all indexes"),
        ({"keys": [altered(indexes=["../a"])]}, r"keys\.0\.indexes\.0: Value error, a name is 1 to 64"),
        ({"keys": [altered(name="a\nb")]}, r"keys\.0\.name: Value error, a name is 1 to 64"),
        ({"keys": [altered(requests_per_minute=0)]}, "requests_per_minute: Input should be greater"),
        ({"keys": [altered(), altered(sha256="1" * 64)]}, "two keys have the same name"),
        ({"keys": [altered(), altered(name="b")]}, "two keys have the same sha256"),
    ],
)
def test_a_file_that_is_no_file_of_keys_is_refused_without_showing_it(
    path: Path, contents: bytes | dict[str, object], said: str
) -> None:
    path.write_bytes(contents if isinstance(contents, bytes) else json.dumps(contents).encode())
    with pytest.raises(InputError, match=said) as refused:
        read_keys(path)
    assert "cosup_" not in str(refused.value).replace(str(path), "")


@pytest.mark.bad_input
def test_a_file_that_is_not_there_is_refused_with_the_command_that_makes_one(path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file of keys. Make one with `cosup keys create NAME --keys"):
        read_keys(path)
