"""`--dry-run`: what a command would do, from reading and checking all that it reads, writing nothing."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from index_builder.build import source_passages
from index_builder.order import Order
from index_builder.settings import BuildSettings
from semiparametric.errors import StoreError
from semiparametric.store.layout import next_version
from semiparametric.store.lock import refuse_if_locked
from semiparametric.store.passage_writing import summarise_passages


class Plan(BaseModel):
    """What a command would write. None stands where the command does not count it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dry_run: bool = True
    index: Path = Field(description="Folder of the index.")
    version: int | None = Field(description="The version that would be published; none if nothing would be.")
    passages: int = Field(description="Passages that it would hold.")
    to_encode: int = Field(description="Passages that Embseq would read, if no unfinished build has done so.")
    index_type: str = Field(description="How lookups would search.")
    counts: dict[str, int] = Field(default_factory=dict, description="What would change.")

    def __str__(self) -> str:
        if self.version is None:
            return f"{self.index}: nothing has changed, nothing would be published"
        told = [
            f"{self.passages} passages",
            *(f"{count} {name}" for name, count in self.counts.items()),
            f"{self.to_encode} to encode",
            f"index type {self.index_type}",
        ]
        return f"{self.index}: would publish version {self.version}: {', '.join(told)}. Nothing was written"


def plan_build(settings: BuildSettings) -> Plan:
    """What `build_index` would do; raises what it would raise before it encodes."""
    order = Order.checked(settings)
    check_writable(settings.out)
    corpus = summarise_passages(source_passages(settings, dry_run=True))
    return Plan(
        index=settings.out,
        version=next_version(settings.out),
        passages=corpus.count,
        to_encode=corpus.count,
        index_type=planned_index_type(order, corpus.count),
    )


def planned_index_type(order: Order, count: int) -> str:
    """The index type of so many passages; raises what `Order.index_plan` does."""
    plan = order.index_plan(count)
    return plan.index_type if plan else f"{order.settings.index_type} in Milvus"


def check_writable(index: Path) -> None:
    """Refuse an index that another build is writing, or whose folder cannot be written.

    Raises:
        BusyError: Another build holds the lock.
        StoreError: The folder cannot be written.
    """
    refuse_if_locked(index)
    place = next(folder for folder in (index.absolute(), *index.absolute().parents) if folder.exists())
    if not place.is_dir():
        raise StoreError("is a file, not a folder", where=str(place), remedy="Name a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise StoreError(
            "cannot be written", where=str(place), remedy="Name another folder or ask for the right to write this one"
        )
