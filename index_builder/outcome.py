"""What a command that changes an index did."""

from dataclasses import dataclass
from pathlib import Path

from semiparametric.store import Manifest


@dataclass(frozen=True)
class Outcome:
    """The end of a rebuild, an upsert or a deletion.

    manifest: Of the version that is served now.
    published: Whether it is a new one.
    counts: Passages that were added, changed, removed, reused, ... , and encoded.
    """

    manifest: Manifest
    published: bool
    counts: dict[str, int]

    def told(self, index: Path) -> str:
        """It in one line, for the index in a folder."""
        changes = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        version = self.manifest.version
        if not self.published:
            return f"{index}: nothing has changed ({changes}); version {version} stays served"
        return f"{index}: version {version} is served, {self.manifest.corpus.count} passages: {changes}"
