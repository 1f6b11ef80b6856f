"""What is refused before a model is loaded: all of it at once."""

import asyncio
import socket
from pathlib import Path

import pytest

from semiparametric.errors import InputError
from service.preflight import check_and_bind, check_models
from service.settings import ModelSettings, ServeSettings
from tests.small_index import build_small_index

pytestmark = pytest.mark.bad_input


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wrong = ServeSettings(pair=tmp_path / "no-pair", index=tmp_path / "no-index", port=port, device="tpu")
        with pytest.raises(InputError) as refused:
            check_and_bind(wrong)
    message = str(refused.value)
    assert "no-pair: not a pair" in message
    assert "no-index: no index is published here" in message
    assert "device 'tpu' is none of cpu, cuda and cuda:<number>" in message
    assert f"port {port}: Address already in use" in message


def test_wrong_names_and_keys_are_said_together(tiny_pair: Path, tmp_path: Path) -> None:
    first, second = (build_small_index(tiny_pair, tmp_path / name) for name in ("first", "second"))
    unnamed = build_small_index(tiny_pair, tmp_path / "unnamed", name="two words")
    keys = tmp_path / "keys.json"
    keys.write_text("{}}")
    with pytest.raises(InputError) as refused:
        check_and_bind(ServeSettings(pair=tiny_pair, index=[first, second, unnamed], keys=keys, port=0))
    message = str(refused.value)
    assert "index: more than one index is called small. Give each its own name with --index NAME=FOLDER" in message
    assert "unnamed: its own name 'two words' cannot be served" in message
    assert "keys.json: is no file of keys" in message


def test_an_index_of_another_pair_is_known_from_its_manifest(tiny_pair: Path, tmp_path: Path) -> None:
    index = build_small_index(tiny_pair, tmp_path / "index", fingerprint="of another pair")
    with pytest.raises(InputError, match="made by another pair"):
        check_models(ModelSettings(pair=tiny_pair, index=index))


def test_a_free_port_is_bound_and_does_not_listen_yet(tiny_pair: Path, tmp_path: Path) -> None:
    settings = ServeSettings(pair=tiny_pair, index=build_small_index(tiny_pair, tmp_path / "index"), port=0)
    with check_and_bind(settings) as listener:
        assert listener.getsockname()[1] != 0
        with socket.socket() as client, pytest.raises(ConnectionRefusedError):
            client.connect(listener.getsockname())


async def test_connections_send_what_they_have_at_once(tiny_pair: Path, tmp_path: Path) -> None:
    undelayed = asyncio.get_running_loop().create_future()

    async def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        option = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        undelayed.set_result(bool(option))
        writer.close()

    settings = ServeSettings(pair=tiny_pair, index=build_small_index(tiny_pair, tmp_path / "index"), port=0)
    with check_and_bind(settings) as listener:
        async with await asyncio.start_server(look, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await undelayed
            writer.close()


def test_a_cuda_device_that_is_not_there_is_refused(tiny_pair: Path, tmp_path: Path) -> None:
    index = build_small_index(tiny_pair, tmp_path / "index")
    with pytest.raises(InputError, match="device 'cuda:99' is not there"):
        check_models(ModelSettings(pair=tiny_pair, index=index, device="cuda:99"))


def test_a_default_answer_length_over_its_limit_is_refused(tmp_path: Path) -> None:
    given = {"pair": tmp_path, "index": tmp_path, "max_new_tokens": 300, "max_new_tokens_limit": 200}
    with pytest.raises(InputError, match="max_new_tokens 300 is over max_new_tokens_limit 200"):
        ServeSettings.resolve(given)
