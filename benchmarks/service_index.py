"""An index that is rebuilt again and again, each passage of which says by its id to which version it belongs."""

from pathlib import Path

from index_builder.build import build_index
from index_builder.rebuild import rebuild_index
from index_builder.settings import BuildSettings, RebuildSettings
from semiparametric.formats import Passage, write_jsonl

TOPICS = ("lamp", "tide", "wheel", "keeper", "log", "dusk", "sluice", "stone", "flour", "eel", "pond", "bell")


class RebuiltIndex:
    """Made with the commands' own functions: a build, then rebuilds.

    Args:
        pair: The pair whose Embseq encodes.
        folder: Of the index, named as it is; its corpus lies beside it.
        num_passages: Passages of each version.
    """

    def __init__(self, pair: Path, folder: Path, *, num_passages: int = len(TOPICS)) -> None:
        self.folder = folder
        self.version = 0
        self._num_passages = num_passages
        self._corpus = folder.with_suffix(".jsonl")
        self._write_corpus(1)
        settings = BuildSettings(pair=pair, corpus=[self._corpus], out=folder, index_type="flat", encoding_threads=1)
        self._published(build_index(settings).version)

    def publish(self) -> int:
        """Publish the next version; its number."""
        self._write_corpus(self.version + 1)
        self._published(rebuild_index(RebuildSettings(index=self.folder)).manifest.version)
        return self.version

    def _write_corpus(self, version: int) -> None:
        topics = [TOPICS[number % len(TOPICS)] for number in range(self._num_passages)]
        write_jsonl(
            self._corpus,
            [
                Passage(id=f"{topic}-{number}@{version}", title=topic, text=f"The {topic}, {number}, as of {version}.")
                for number, topic in enumerate(topics)
            ],
        )

    def _published(self, version: int) -> None:
        if version != self.version + 1:
            raise RuntimeError(f"version {version} was published after {self.version}")
        self.version = version


def version_named(passage_id: str) -> int:
    """The version that a passage belongs to."""
    return int(passage_id.rpartition("@")[2])
