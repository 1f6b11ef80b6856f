"""How a corpus is read: what the readers need to know, and what they report."""

from dataclasses import dataclass, field
from pathlib import Path

from index_builder.near_duplicates import NearDuplicates
from index_builder.reading_settings import Format, PassageSettings
from index_builder.rejects import Rejects
from index_builder.splitting import Splitter

REJECTS = "rejects.jsonl"
"""Name of the file for bad records, where the settings name none."""


@dataclass(frozen=True)
class Reading:
    """One way to read a corpus. Its counts are those of the last time it was used.

    Attributes:
        splitter: Makes passages of documents.
        format: What the files hold; `auto` tells it by their names and first records.
        rejects: Takes bad records.
        near_duplicates: Leaves out what is nearly equal to an earlier passage; None keeps all.
    """

    splitter: Splitter
    format: Format = "auto"
    rejects: Rejects = field(default_factory=Rejects)
    near_duplicates: NearDuplicates | None = None

    @property
    def counts(self) -> dict[str, int]:
        """What was left out, by reason; nothing that cannot be by the settings."""
        counts = {}
        if self.rejects.on_error == "skip":
            counts["rejected"] = self.rejects.count
        if self.near_duplicates:
            counts["near_duplicates"] = self.near_duplicates.count
        return counts


def reading_of(settings: PassageSettings, splitter: Splitter, rejects: Path | None) -> Reading:
    """What the settings say.

    Args:
        settings: Of a command that reads a corpus.
        splitter: What splits documents.
        rejects: Where bad records are written if the settings name no file; None writes none at all.
    """
    return Reading(
        splitter=splitter,
        format=settings.format,
        rejects=Rejects(settings.on_error, rejects and (settings.rejects or rejects)),
        near_duplicates=None if settings.near_duplicates is None else NearDuplicates(settings.near_duplicates),
    )


def reading_for(settings: PassageSettings, *, pair: Path, out: Path, dry_run: bool = False) -> Reading:
    """What the settings say of reading for an index.

    Args:
        settings: Of the build.
        pair: The pair in whose tokens documents are split.
        out: The index's folder.
        dry_run: Whether nothing may be written, bad records neither.

    Raises:
        InputError: The pair does not read passages of so many tokens.
        PairError: The pair cannot be read.
    """
    from index_builder.pair_tokens import by_tokens  # loads torch, which reading without a pair does not need

    splitter = by_tokens(pair, settings.passage_tokens, settings.overlap_tokens)
    return reading_of(settings, splitter, None if dry_run else out / REJECTS)
