"""What is to be built: settings that were checked before anything is written, and how a version records them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import faiss

from index_builder.encoding import ENCODING_LIBRARIES, check_encoding
from index_builder.settings import BuildSettings
from semiparametric.errors import InputError
from semiparametric.pair import read_spec
from semiparametric.spec import PairSpec
from semiparametric.store import BuildRecord, CorpusSummary, Manifest
from semiparametric.store.index_plan import IndexPlan
from semiparametric.store.milvus_collections import check_milvus

_LIBRARIES = (*ENCODING_LIBRARIES, "pyarrow")


@dataclass(frozen=True)
class Order:
    """One build.

    settings: What it was told.
    spec: Of its pair.
    upserted: Ids that upserts put in and the build keeps.
    deleted: Ids that were deleted and the build leaves out.
    """

    settings: BuildSettings
    spec: PairSpec
    upserted: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def checked(
        cls, settings: BuildSettings, *, upserted: list[str] | None = None, deleted: list[str] | None = None
    ) -> Self:
        """An order whose pair, device and sources are there.

        Raises:
            InputError: A setting is wrong, or a source is not there.
            PairError: The pair cannot be read.
            StoreError: Milvus is to hold the vectors and does not answer.
        """
        spec = read_spec(settings.pair)
        spec.served_dimension(settings.dimension)
        check_encoding(settings)
        if settings.store == "milvus":
            if settings.shards > 1:
                raise InputError(
                    f"shards is {settings.shards}",
                    remedy="Leave it out: Milvus spreads the vectors over its nodes itself",
                )
            check_milvus(settings.milvus_uri, settings.out, settings.index_type)
        for source in settings.corpus:
            if not source.exists():
                raise InputError(
                    "no such file or folder", where=str(source), remedy="Put it back, or name another with --corpus"
                )
        return cls(settings, spec, upserted or [], deleted or [])

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.spec.served_dimension(self.settings.dimension)

    def index_plan(self, count: int) -> IndexPlan | None:
        """How so many vectors are to be indexed in files; None where Milvus holds them.

        Raises:
            InputError: Such an index cannot be built of so many.
        """
        return None if self.settings.store == "milvus" else self.settings.index_plan(count, self.dimension)

    @property
    def name(self) -> str:
        """The index's name."""
        return self.settings.name or self.settings.out.resolve().name

    def record(self) -> BuildRecord:
        """What the version says of how it was made; the build ends now."""
        return BuildRecord(
            sources=[str(source.absolute()) for source in self.settings.corpus],
            settings=recorded(self.settings),
            libraries=libraries(),
            started=self.started,
            finished=datetime.now(UTC),
            upserted=self.upserted,
            deleted=self.deleted,
        )

    def made(self, manifest: Manifest, corpus: CorpusSummary) -> bool:
        """Whether a version is what this build of these passages would make."""
        past, now = manifest.build, self.record()
        same = manifest.corpus == corpus and manifest.fingerprint == self.spec.fingerprint and manifest.base is None
        return same and all(
            getattr(past, name) == getattr(now, name) for name in ("settings", "libraries", "upserted", "deleted")
        )


def recorded(settings: BuildSettings) -> dict[str, Any]:
    """Settings as a manifest holds them: with absolute paths, so that a rebuild finds them from anywhere."""
    values = settings.model_dump(mode="json", include=set(BuildSettings.model_fields))
    return values | {name: _absolute(value) for name, value in settings if name in values and _holds_paths(value)}


def _holds_paths(value: object) -> bool:
    return isinstance(value, Path) or (isinstance(value, list) and any(isinstance(part, Path) for part in value))


def _absolute(value: Any) -> Any:
    return str(value.absolute()) if isinstance(value, Path) else [str(part.absolute()) for part in value]


def libraries() -> dict[str, str]:
    """Versions of the libraries that make vectors and index."""
    return {name: version(name) for name in _LIBRARIES} | {"faiss": faiss.__version__}
