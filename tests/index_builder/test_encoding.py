"""Encoding: the same vectors on any number of devices, little padding, and everything that went wrong is said."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import numpy as np
import psutil
import pytest
import torch
from numpy.typing import NDArray

from index_builder.devices import find_devices
from index_builder.encoder import EncoderPlan, ShardEncoder, ShardJob
from index_builder.encoding import encode, encode_passages, shard_inputs
from index_builder.encoding_settings import EncodingSettings
from index_builder.settings import BuildSettings
from index_builder.shards import Shards
from semiparametric.embedding import embed_passages, tokenize_passages
from semiparametric.errors import CosupError, InputError
from semiparametric.formats import Passage
from semiparametric.pair import load_embseq, read_spec
from semiparametric.store import CorpusSummary
from semiparametric.store.passage_writing import write_passages
from semiparametric.store.passages import PassageTable

ROOT = Path(__file__).parents[2]


def entries(count: int, sentence: str = "The tide turns. ") -> list[Passage]:
    """Of many lengths in no order, some longer than the tiny pair's 64 tokens."""
    repeats = np.random.default_rng(0).integers(1, 16, count).tolist()
    return [Passage(id=str(n), title=f"Day {n}", text=sentence * times) for n, times in enumerate(repeats)]


class Build:
    """What a build encodes, in a folder of its own."""

    def __init__(self, folder: Path, pair: Path, passages: list[Passage], **settings: object) -> None:
        folder.mkdir()
        values = {"pair": pair, "corpus": [folder], "out": folder, "shard_passages": 16, "encoding_threads": 1}
        self.folder = folder
        self.settings = BuildSettings.resolve(values | settings)
        self.spec = read_spec(pair)
        self._corpus = write_passages(folder / "passages.arrow", passages)

    def shards(self) -> Shards:
        return Shards(self.folder, shard_inputs(self.settings, self.spec, self._corpus))

    def encode(self) -> NDArray[np.float32]:
        """All vectors."""
        shards = self.shards()
        with PassageTable(self.folder / "passages.arrow") as passages:
            self.report = encode(shards, passages, self.settings, self.spec)
        return np.concatenate(list(shards))

    def bytes_of_shards(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.folder / "shards").glob("*.npy"))]


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_vectors_are_those_of_embseq_and_the_report_counts_what_was_computed(tmp_path: Path, tiny_pair: Path) -> None:
    passages = entries(200)
    build = Build(tmp_path / "build", tiny_pair, passages)
    embseq = load_embseq(tiny_pair)
    np.testing.assert_allclose(build.encode(), embed_passages(embseq, passages), atol=1e-5)
    report, spec = build.report, build.spec
    endless = spec.model_copy(update={"passage": spec.passage.model_copy(update={"max_tokens": 10**6})})
    whole = [len(ids) for ids in tokenize_passages(embseq.tokenizer, endless, passages)]
    assert (report.passages, report.resumed) == (200, 0)
    assert report.tokens == sum(min(length, 64) for length in whole)
    assert 0 < report.truncated == sum(length > 64 for length in whole)
    assert 0 < report.padding_share < 0.05
    assert report.seconds > 0


def test_shards_that_are_there_are_not_made_again(tmp_path: Path, tiny_pair: Path) -> None:
    build = Build(tmp_path / "build", tiny_pair, entries(40))
    build.encode()
    undisturbed = build.bytes_of_shards()
    (tmp_path / "build/shards/000001.npy").unlink()
    build.encode()
    assert (build.report.passages, build.report.resumed) == (16, 24)
    assert build.bytes_of_shards() == undisturbed
    build.encode()
    assert build.report.model_dump(exclude={"seconds"}) == {
        "passages": 0,
        "resumed": 40,
        "tokens": 0,
        "padding_share": 0.0,
        "truncated": 0,
    }


def test_the_report_is_one_line_of_the_log(tmp_path: Path, tiny_pair: Path, caplog: pytest.LogCaptureFixture) -> None:
    build = Build(tmp_path / "build", tiny_pair, entries(5))
    with caplog.at_level(logging.INFO, logger="index_builder.encoding"):
        build.encode()
    (line,) = [record.getMessage() for record in caplog.records if "padding" in record.getMessage()]
    assert line == str(build.report)
    assert line.startswith(f"5 passages of {build.report.tokens} tokens encoded in ")


def test_in_bfloat16_vectors_are_near_and_shards_of_float32_are_not_taken(tmp_path: Path, tiny_pair: Path) -> None:
    exact = Build(tmp_path / "build", tiny_pair, entries(20))
    rough = Build(tmp_path / "rough", tiny_pair, entries(20), dtype="bfloat16")
    vectors = rough.encode()
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, exact.encode(), atol=0.05)
    assert not np.array_equal(vectors, exact.encode())
    (tmp_path / "build/progress.json").write_bytes((tmp_path / "rough/progress.json").read_bytes())
    assert exact.shards().missing() == [0, 1]


def test_a_few_passages_have_the_vectors_of_a_build(tmp_path: Path, tiny_pair: Path) -> None:
    passages = entries(10)
    build = Build(tmp_path / "build", tiny_pair, passages)
    few = encode_passages(passages[3:6], build.settings, build.spec)
    np.testing.assert_allclose(few, build.encode()[3:6], atol=1e-6)
    assert encode_passages([], build.settings, build.spec).shape == (0, 32)


def test_the_next_shard_is_read_and_tokenized_before_this_one_is_asked_for(tiny_pair: Path) -> None:
    plan = EncoderPlan(tiny_pair, "cpu", "float32", threads=1, batch_tokens=512, dimension=None)
    read = [Event(), Event(), Event()]

    def jobs() -> Iterator[ShardJob]:
        for number, event in enumerate(read):
            event.set()
            yield ShardJob(number, ["Lamp :: The keeper trims it."])

    encoded = ShardEncoder(plan).run(jobs())
    assert next(encoded).number == 0
    assert read[1].wait(60)
    assert not read[2].is_set()
    assert [shard.number for shard in encoded] == [1, 2]


def test_a_passage_that_cannot_be_read_ends_the_encoding_with_its_error(tiny_pair: Path) -> None:
    def jobs() -> Iterator[ShardJob]:
        yield ShardJob(0, ["Lamp"])
        raise InputError("the file is gone")

    encoder = ShardEncoder(EncoderPlan(tiny_pair, "cpu", "float32", threads=1, batch_tokens=512, dimension=None))
    with pytest.raises(InputError, match="the file is gone"):
        list(encoder.run(jobs()))


def test_too_little_memory_of_a_device_names_the_setting_to_change(
    tiny_pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    encoder = ShardEncoder(EncoderPlan(tiny_pair, "cpu", "float32", threads=1, batch_tokens=512, dimension=None))
    monkeypatch.setattr("index_builder.encoder.embed_batches", full)
    with pytest.raises(InputError, match="--batch-tokens: 512 tokens at once are too many for the memory of cpu"):
        encoder.encode(ShardJob(0, ["Lamp"]))


def test_devices_of_a_cpu() -> None:
    alone = find_devices(EncodingSettings(encoding_threads=3))
    assert (alone.names, alone.dtype, alone.threads) == (("cpu",), "float32", 3)
    assert alone.kind.startswith("cpu with ")
    assert alone.kind.endswith(", 3 threads")
    two = find_devices(EncodingSettings(device="cpu, cpu", dtype="bfloat16", encoding_threads=3))
    assert (two.names, two.dtype, two.kind) == (("cpu", "cpu"), "bfloat16", alone.kind)
    assert (alone.batch_tokens, find_devices(EncodingSettings(batch_tokens=77)).batch_tokens) == (1024, 77)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("warp", "'warp' cannot be used"),
        ("mps", "'mps' is neither a CPU nor a GPU that runs CUDA"),
        ("cpu,warp", "'warp' cannot be used"),
        ("cuda:97", "'cuda:97' cannot be used"),
        ("cuda:0,cuda:0", "cuda:0 is named twice"),
    ],
)
def test_a_device_that_is_not_here_is_refused(device: str, message: str) -> None:
    with pytest.raises(InputError, match=f"--device: {message}"):
        find_devices(EncodingSettings(device=device))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"device": "cpu,,cpu"}, "not auto, cpu, cuda, cuda:<number>, or several"),
        ({"device": "auto,cpu"}, "not auto, cpu, cuda, cuda:<number>, or several"),
        ({"address": "auto", "workers": 3}, "address and workers given, which is for engine ray"),
        ({"engine": "ray", "device": "cpu,cpu"}, "with engine ray say auto, cpu or cuda, and how many workers"),
        ({"dtype": "int8"}, "dtype: Input should be 'auto', 'float32' or 'bfloat16'"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EncodingSettings.resolve(given)


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(600)
def test_a_worker_that_dies_is_named_and_one_process_goes_on_with_its_shards(tmp_path: Path, tiny_pair: Path) -> None:
    passages = entries(1200)
    build = Build(tmp_path / "two", tiny_pair, passages, device="cpu,cpu")

    def kill_a_worker() -> None:
        encoders_of(os.getpid())[0].kill()

    said = r"shards/worker-[01]\.log: the worker of cpu ended by SIGKILL\. .* same command resumes"
    with once_shards_are_there(build, kill_a_worker), pytest.raises(CosupError, match=said):
        build.encode()
    assert not encoders_of(os.getpid())
    left = build.bytes_of_shards()
    assert 0 < len(left) < 75
    build.settings = build.settings.model_copy(update={"device": "cpu"})
    build.encode()
    assert build.report.resumed == 16 * len(left)
    alone = Build(tmp_path / "alone", tiny_pair, passages)
    alone.encode()
    assert build.bytes_of_shards() == alone.bytes_of_shards()


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(600)
def test_ctrl_c_ends_all_workers(tmp_path: Path, tiny_pair: Path) -> None:
    build = Build(tmp_path / "two", tiny_pair, entries(1200), device="cpu,cpu")

    def press_ctrl_c() -> None:
        workers = encoders_of(os.getpid())
        for worker in workers:  # as a terminal does, to all; it is for the first process to end them
            worker.send_signal(signal.SIGINT)
        made = len(build.bytes_of_shards())
        wait_until(lambda: len(build.bytes_of_shards()) > made)
        assert len(encoders_of(os.getpid())) == 2
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with once_shards_are_there(build, press_ctrl_c), pytest.raises(KeyboardInterrupt):
            build.encode()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not encoders_of(os.getpid())
    assert 0 < len(build.bytes_of_shards()) < 75


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(600)
def test_workers_end_with_the_process_that_started_them(tmp_path: Path, tiny_pair: Path) -> None:
    build = Build(tmp_path / "build", tiny_pair, entries(20_000))
    script = "import sys; from tests.index_builder.test_encoding import encode_until_killed as run; run(*sys.argv[1:])"
    command = [sys.executable, "-c", script, str(tmp_path / "build"), str(tiny_pair)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: child.poll() is None and len(build.bytes_of_shards()) > 1)
        workers = encoders_of(child.pid)
        assert len(workers) == 2
        child.kill()
        child.wait(60)
        _, alive = psutil.wait_procs(workers, 60)
        assert not alive
    finally:
        child.kill()


def encode_until_killed(folder: str, pair: str) -> None:
    """What the child of the test above does."""
    values = {"pair": pair, "corpus": [folder], "out": folder, "shard_passages": 16, "device": "cpu,cpu"}
    settings = BuildSettings.resolve(values | {"encoding_threads": 1})
    with PassageTable(Path(folder) / "passages.arrow") as passages:
        spec = read_spec(Path(pair))
        corpus = CorpusSummary(count=len(passages), digest="0", metadata_fields=[])
        encode(Shards(Path(folder), shard_inputs(settings, spec, corpus)), passages, settings, spec)


def encoders_of(pid: int) -> list[psutil.Process]:
    """The workers of a process."""
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@contextmanager
def once_shards_are_there(build: Build, action: Callable[[], None]) -> Iterator[None]:
    """Do something in a thread while the build encodes."""

    def act() -> None:
        wait_until(lambda: len(build.bytes_of_shards()) > 1)
        action()

    with ThreadPoolExecutor(1) as thread:
        acting = thread.submit(act)
        yield
        acting.result()
