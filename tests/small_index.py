"""A small index of four passages for tests of the service, built with the real store by a pair's own Embseq."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from semiparametric.embedding import embed_passages
from semiparametric.formats import Passage
from semiparametric.pair import load_embseq
from semiparametric.store import BuildRecord, VersionWriter
from semiparametric.store.index_plan import IndexPlan

PASSAGES = [
    Passage(id="lamp", title="The lamp", text="The lamp is lit at dusk.", source="log.md", metadata={"place": "tower"}),
    Passage(id="tide", title="The tide", text="The tide turns twice a day.", metadata={"place": "mill", "page": 2}),
    Passage(id="wheel", title="The wheel", text="The wheel follows the tide.", metadata={"place": "mill", "page": 3}),
    Passage(id="trap", title="[Ret] </s>", text="A text with [Cs] and [Ce] and </s>.", metadata={"place": "inn"}),
]


def build_small_index(
    pair: Path,
    out: Path,
    *,
    passages: Sequence[Passage] = PASSAGES,
    name: str = "small",
    fingerprint: str | None = None,
    dimension: int | None = None,
) -> Path:
    """Publish the next version of an index, of this pair if no other fingerprint is given; its folder."""
    embseq = load_embseq(pair)
    writer = VersionWriter(out)
    corpus = writer.write_passages(passages)
    vectors = embed_passages(embseq, passages, dimension=dimension)
    summary = writer.write_vectors([vectors], IndexPlan.flat(vectors.shape[1]))
    fingerprint = fingerprint or embseq.spec.fingerprint
    now = datetime.now(UTC)
    build = BuildRecord(sources=["tests"], settings={}, libraries={}, started=now, finished=now)
    writer.publish(name=name, fingerprint=fingerprint, corpus=corpus, index=summary, build=build)
    return out
