"""Building: what the manifest says, what is reused, and what a build does when it cannot go on."""

import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner

from index_builder.build import build_index
from index_builder.cli import index_app
from index_builder.settings import BuildSettings
from semiparametric.embedding import embed_passages
from semiparametric.errors import BusyError, InputError, PairError, StoreError
from semiparametric.formats import Passage, read_passages, write_jsonl
from semiparametric.pair import load_embseq, read_spec
from semiparametric.store import Store, current_version, versions
from semiparametric.store.index_types import INDEX_TYPES
from semiparametric.store.lock import build_lock

ROOT = Path(__file__).parents[2]
WORDS = ["lamp", "tide", "wick", "stair", "log", "oil", "wind", "storm", "keeper", "boat", "rope", "glass"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    entries = [
        Passage(id=f"p{n}", text=" ".join(random.choice(WORDS, 5)), source="log.txt", metadata={"day": n})
        for n in range(60)
    ]
    path = tmp_path / "corpus.jsonl.gz"
    write_jsonl(path, entries)
    return path


def partial_files(index: Path) -> list[str]:
    return sorted(path.name for path in index.glob("versions/*.partial/**/*") if path.is_file())


@pytest.mark.parametrize("index_type", ["flat", "hnsw"])
def test_a_built_index_finds_each_passage_by_its_own_embedding(
    tmp_path: Path, tiny_pair: Path, corpus: Path, index_type: str
) -> None:
    settings = BuildSettings.resolve(
        {"pair": tiny_pair, "corpus": corpus, "out": tmp_path / "lamps", "index_type": index_type, "shard_passages": 16}
    )
    build_index(settings)
    entries = list(read_passages(corpus))
    vectors = embed_passages(load_embseq(tiny_pair), entries)
    with Store.open(tmp_path / "lamps", fingerprint=read_spec(tiny_pair).fingerprint) as store:
        assert store.name == "lamps"
        assert [store.passage(row) for row in range(len(store))] == entries
        assert [hits[0].row for hits in store.search(vectors, 3)] == list(range(60))
        assert store.rows_matching({"day": 7}).tolist() == [7]


def test_the_manifest_says_how_the_index_was_made(tmp_path: Path, tiny_pair: Path, corpus: Path) -> None:
    settings = BuildSettings(
        pair=tiny_pair, corpus=corpus, out=tmp_path / "index", name="Lamps", index_type="hnsw", hnsw_m=8
    )
    manifest = build_index(settings)
    assert manifest == Store.open(tmp_path / "index").manifest
    assert manifest.name == "Lamps"
    assert manifest.fingerprint == read_spec(tiny_pair).fingerprint
    assert (manifest.corpus.count, manifest.corpus.metadata_fields) == (60, ["day"])
    assert (manifest.index.dimension, manifest.index.index_type) == (32, "hnsw")
    assert manifest.index.index_parameters.keys() == {"hnsw_m", "hnsw_ef_construction", "hnsw_ef_search"}
    assert manifest.index.index_parameters["hnsw_m"] == 8
    assert manifest.index.recall_at_10 >= 0.95
    assert manifest.index.recall_queries.startswith("vectors of 60 passages, each with Gaussian noise")
    assert manifest.build.sources == [str(corpus)]
    assert manifest.build.settings["overlap_tokens"] == 0
    assert manifest.build.started < manifest.build.finished
    assert {"torch", "transformers", "faiss", "pyarrow"} <= manifest.build.libraries.keys()


def test_a_second_build_adds_a_version_and_keeps_the_first(tmp_path: Path, tiny_pair: Path, corpus: Path) -> None:
    out = tmp_path / "index"
    build_index(BuildSettings(pair=tiny_pair, corpus=corpus, out=out))
    build_index(BuildSettings(pair=tiny_pair, corpus=ROOT / "examples/handbook", out=out))
    assert (current_version(out), versions(out), partial_files(out)) == (2, [1, 2], [])
    assert Store.open(out).passage(0).id.endswith(".md#1")
    assert Store.open(out, version=1).passage(0).id == "p0"


def test_shards_are_reused_only_for_the_inputs_they_were_made_from(
    tmp_path: Path, tiny_pair: Path, corpus: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "index"
    settings = BuildSettings(pair=tiny_pair, corpus=corpus, out=out, shard_passages=16)
    build_index(settings)
    shutil.copytree(out / "versions/1", tmp_path / "undisturbed")

    def interrupt(kept: tuple[int, ...]) -> None:
        """Leave the index as a build does that is killed after these shards."""
        unfinished = out / "versions/2.partial"
        (out / "CURRENT").write_text("1\n")
        shutil.rmtree(out / "versions/2", ignore_errors=True)
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        with pytest.raises(StoreError, match="no space left"), build_with_small_files(7000):
            build_index(settings)
        assert resource.getrlimit(resource.RLIMIT_FSIZE) == limit
        for path in (unfinished / "shards").glob("*"):
            if path.suffix != ".npy" or int(path.stem) not in kept:
                path.unlink()

    interrupt(kept=(0, 2))
    with caplog.at_level(logging.INFO):
        build_index(settings)
    assert "resuming: 2 of 4 shards are there" in caplog.text
    for name in ("index.faiss", "passages.arrow"):
        assert (out / "versions/2" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()

    interrupt(kept=(0, 1, 2, 3))
    caplog.clear()
    write_jsonl(corpus, [Passage(id=str(n), text="Another text.") for n in range(60)])
    with caplog.at_level(logging.INFO):
        build_index(settings)
    assert "an unfinished build had another corpus_digest: starting afresh" in caplog.text
    assert "resuming" not in caplog.text
    with Store.open(out) as store:
        vector = embed_passages(load_embseq(tiny_pair), [Passage(id="1", text="Another text.")])
        assert store.search(vector, 1)[0][0].score == pytest.approx(1.0, abs=1e-5)


class build_with_small_files:  # noqa: N801 - reads as a with-statement
    """The kernel refuses files beyond a size, with a real error."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __enter__(self) -> None:
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size, self._limits[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)


@pytest.mark.bad_input
def test_a_full_disk_leaves_the_served_version_and_the_build_resumes_with_more_space(
    tmp_path: Path, tiny_pair: Path, corpus: Path, small_disk: Path
) -> None:
    out = small_disk / "index"
    build_index(BuildSettings(pair=tiny_pair, corpus=corpus, out=out))
    before = {path.name: path.read_bytes() for path in (out / "versions/1").iterdir()}
    larger = tmp_path / "larger.jsonl"
    write_jsonl(larger, [Passage(id=str(n), text="The lamp of the tower. " * 3) for n in range(900)])
    settings = BuildSettings(pair=tiny_pair, corpus=larger, out=out, shard_passages=100)
    with pytest.raises(StoreError, match=r"no space left.*served version is untouched.*run the same command again"):
        build_index(settings)
    assert current_version(out) == 1
    Store.open(out, check=True).close()
    assert {path.name: path.read_bytes() for path in (out / "versions/1").iterdir()} == before
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert build_index(settings).version == 2
    assert partial_files(out) == []


@pytest.mark.parametrize("limit", [3_000, 12_000, 60_000])
@pytest.mark.bad_input
def test_a_disk_that_fills_up_at_any_file_is_reported(
    tmp_path: Path, tiny_pair: Path, limit: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Limits chosen so that the passages, a shard and the index are the first file that does not fit."""
    corpus = tmp_path / "corpus.jsonl"
    write_jsonl(corpus, [Passage(id=str(n), text="A lamp.") for n in range(500 if limit > 50_000 else 130)])
    shard = 50 if limit > 50_000 else 130
    settings = BuildSettings(pair=tiny_pair, corpus=corpus, out=tmp_path / "index", shard_passages=shard)
    with pytest.raises(StoreError, match="no space left"), build_with_small_files(limit):
        build_index(settings)
    assert current_version(tmp_path / "index") is None
    assert build_index(settings).version == 1


@pytest.mark.bad_input
def test_a_read_only_file_system_is_reported(tmp_path: Path, tiny_pair: Path, corpus: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(
        StoreError, match=r"disk/index: cannot be written \(Read-only file system\). Name another folder"
    ):
        build_index(BuildSettings(pair=tiny_pair, corpus=corpus, out=small_disk / "index"))


@pytest.mark.bad_input
def test_a_file_in_the_place_of_the_index_is_reported(tmp_path: Path, tiny_pair: Path, corpus: Path) -> None:
    for out in (corpus, corpus / "below"):
        with pytest.raises(StoreError, match=r"is a file, not a folder"):
            build_index(BuildSettings(pair=tiny_pair, corpus=corpus, out=out))


@pytest.mark.bad_input
def test_a_second_build_at_once_is_told_who_holds_the_index(tmp_path: Path, tiny_pair: Path, corpus: Path) -> None:
    out = tmp_path / "index"
    script = (
        "import sys; from pathlib import Path; from semiparametric.store.lock import build_lock\n"
        "with build_lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(out)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        settings = BuildSettings(pair=tiny_pair, corpus=corpus, out=out)
        with pytest.raises(
            BusyError, match=rf"another build is writing this index: process {holder.pid} on .*, since 20"
        ):
            build_index(settings)
        assert not (out / "versions").exists()
        holder.send_signal(signal.SIGKILL)
    assert build_index(settings).version == 1  # the lock ended with its process
    with build_lock(out), pytest.raises(BusyError, match=f"process {os.getpid()} on"):
        build_index(settings)


def test_a_corpus_without_passages_is_refused(tmp_path: Path, tiny_pair: Path) -> None:
    corpus = tmp_path / "empty.jsonl"
    corpus.write_text("\n\n")
    with pytest.raises(InputError, match="the corpus holds no passage"):
        build_index(BuildSettings(pair=tiny_pair, corpus=corpus, out=tmp_path / "index"))
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/blank.md").write_text("# Only a heading\n")
    with pytest.raises(InputError, match="the corpus holds no passage"):
        build_index(BuildSettings(pair=tiny_pair, corpus=tmp_path / "pages", out=tmp_path / "index"))
    assert current_version(tmp_path / "index") is None


@pytest.mark.bad_input
def test_wrong_input_is_found_before_the_index_is_touched(tmp_path: Path, tiny_pair: Path, corpus: Path) -> None:
    out = tmp_path / "index"
    with pytest.raises(PairError, match=r"nowhere: not a pair: there is no pair\.json"):
        build_index(BuildSettings(pair=tmp_path / "nowhere", corpus=corpus, out=out))
    with pytest.raises(PairError, match=r"not a pair: there is no pair\.json"):
        build_index(BuildSettings(pair=ROOT / "examples/handbook", corpus=corpus, out=out))
    with pytest.raises(InputError, match="no such file or folder"):
        build_index(BuildSettings(pair=tiny_pair, corpus=tmp_path / "nothing.jsonl", out=out))
    with pytest.raises(InputError, match="--device: 'warp' cannot be used"):
        build_index(BuildSettings(pair=tiny_pair, corpus=corpus, out=out, device="warp"))
    assert not out.exists()


def test_the_commands_build_verify_and_describe(tmp_path: Path, tiny_pair: Path, corpus: Path) -> None:
    run, out = CliRunner().invoke, str(tmp_path / "index")
    built = run(index_app, ["build", "--pair", str(tiny_pair), "--corpus", str(corpus), "--out", out])
    assert built.exit_code == 0, built.output
    assert "version 1 of 'index' is served, 60 passages, recall@10 1.000 (flat)" in built.output
    verified = run(index_app, ["verify", out])
    assert (verified.exit_code, verified.output.strip()) == (
        0,
        f"{out}: version 1 is whole, 60 passages, all checksums match",
    )
    described = run(index_app, ["info", out])
    assert "passages     60\n" in described.output
    assert "metadata     day\n" in described.output
    assert json.loads(run(index_app, ["info", out, "--json"]).output)["corpus"]["count"] == 60


@pytest.mark.bad_input
def test_the_commands_end_with_one_clear_line(tmp_path: Path, tiny_pair: Path, corpus: Path) -> None:
    run, out = CliRunner().invoke, str(tmp_path / "index")
    assert run(index_app, ["build", "--pair", str(tiny_pair), "--corpus", str(corpus), "--out", out]).exit_code == 0
    path = tmp_path / "index/versions/1/index.faiss"
    path.write_bytes(path.read_bytes()[:-100])
    broken = run(index_app, ["verify", out])
    assert broken.exit_code == 2
    assert broken.stderr.startswith(f"Error: {path}: damaged: its checksum is")
    assert len(broken.stderr.splitlines()) == 1
    unknown = run(
        index_app, ["build", "--pair", str(tiny_pair), "--corpus", str(corpus), "--out", out, "--index-type", "x"]
    )
    assert unknown.exit_code == 2
    assert "Value error, 'x' is not one of" in unknown.stderr
    short = run(
        index_app, ["build", "--pair", str(tiny_pair), "--corpus", str(corpus), "--out", out, "--passage-tokens", "0"]
    )
    assert (short.exit_code, "passage_tokens: Input should be greater than or equal to 8" in short.stderr) == (2, True)


def test_every_index_type_is_a_setting_and_so_is_a_choice_among_them() -> None:
    assert set(get_args(BuildSettings.model_fields["index_type"].annotation)) == {"auto", *INDEX_TYPES}
