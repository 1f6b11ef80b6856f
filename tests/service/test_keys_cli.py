"""`cosup keys`, run as the commands they are."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from service.cli import add_commands
from service.keys.key import find
from service.keys.key_file import read_keys

app = typer.Typer(pretty_exceptions_enable=False)
add_commands(app)


def keys(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["keys", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_create_prints_the_key_alone_on_stdout_and_list_never_shows_it(tmp_path: Path) -> None:
    where = ("--keys", str(tmp_path / "keys.json"))
    code, secret, told = keys("create", "alice", *where, "--indexes", "python", "--indexes", "handbook")
    assert code == 0
    key = find(read_keys(tmp_path / "keys.json"), secret.removesuffix("\n"))
    assert key is not None
    assert (key.name, key.indexes, key.admin) == ("alice", ["python", "handbook"], False)
    assert "It is shown only now" in told
    limits = ("--requests-per-minute", "30", "--concurrent-requests", "4")
    assert keys("create", "boss", *where, "--indexes", "*", "--admin", *limits)[0] == 0
    code, listed, _ = keys("list", *where)
    assert code == 0
    assert secret.strip() not in listed
    assert key.sha256 not in listed
    rows = [line.split() for line in listed.splitlines()[1:]]
    assert rows[0][:6] == ["alice", "python,", "handbook", "no", "any", "any"]
    assert rows[1][:5] == ["boss", "*", "yes", "30", "4"]


def test_revoke_says_what_it_did(tmp_path: Path) -> None:
    where = ("--keys", str(tmp_path / "keys.json"))
    keys("create", "alice", *where, "--indexes", "*")
    code, told, _ = keys("revoke", "alice", *where)
    assert code == 0
    assert "the key 'alice' is revoked" in told
    assert read_keys(tmp_path / "keys.json") == []


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "alice"), "indexes: Field required"),
        (("create", "../alice", "--indexes", "*"), "name: Value error, a name is 1 to 64"),
        (("create", "alice", "--indexes", "a/b"), "indexes.0: Value error, a name is 1 to 64"),
        (("create", "alice", "--indexes", "*", "--indexes", "a"), "'*' means all indexes, so it stands alone"),
        (("create", "alice", "--indexes", "*", "--requests-per-minute", "0"), "requests_per_minute: Input should be"),
        (("revoke", "alice"), "there is no key 'alice'"),
        (("list",), "there is no file of keys"),
    ],
)
def test_what_is_wrong_is_refused_with_one_clear_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    code, _, complaint = keys(*arguments, "--keys", str(tmp_path / "keys.json"))
    assert code == 2
    assert said in complaint
    assert len(complaint.splitlines()) == 1
