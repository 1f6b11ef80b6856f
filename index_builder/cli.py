"""`cosup index ...`: build an index, verify it, say what it holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from index_builder.settings import BuildSettings
from semiparametric.command import one_line_errors, settings_command

if TYPE_CHECKING:
    from semiparametric.store import Manifest

index_app = typer.Typer(help="Build and inspect an index.", no_args_is_help=True)

Index = Annotated[Path, typer.Argument(help="Folder of the index.")]
Version = Annotated[int | None, typer.Option(help="A version's number; the served one if none.")]


@settings_command(
    index_app,
    "build",
    BuildSettings,
    help="Encode a corpus with a pair's Embseq and publish it as the next version of an index. "
    "A build that was killed resumes when the same command is run again.",
)
def build(settings: BuildSettings) -> None:
    """Build and say where."""
    from index_builder.build import build_index

    manifest = build_index(settings)
    typer.echo(
        f"{settings.out}: version {manifest.version} of {manifest.name!r} is served, {manifest.corpus.count} passages, "
        f"recall@10 {manifest.index.recall_at_10:.3f} ({manifest.index.index_type})"
    )


@index_app.command(help="Check a version's files against their checksums and its manifest, whole.")
def verify(index: Index, version: Version = None) -> None:
    """Verify a version of an index."""
    with one_line_errors():
        from semiparametric.store import Store

        with Store.open(index, version=version, check=True) as store:
            typer.echo(f"{index}: version {store.version} is whole, {len(store)} passages, all checksums match")


@index_app.command(help="Say what an index holds and how it was made.")
def info(
    index: Index,
    version: Version = None,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Show a version's manifest."""
    with one_line_errors():
        from semiparametric.store import Store, versions

        with Store.open(index, version=version, check=False) as store:
            manifest = store.manifest
        if json:
            typer.echo(manifest.model_dump_json(indent=2))
            return
        for label, value in _described(manifest, versions(index)):
            typer.echo(f"{label:<12} {value}")


def _described(manifest: "Manifest", versions: list[int]) -> list[tuple[str, str]]:
    index, build = manifest.index, manifest.build
    numbers = ", ".join(f"{name} {value}" for name, value in index.index_parameters.items())
    seconds = (build.finished - build.started).total_seconds()
    return [
        ("index", manifest.name),
        ("version", f"{manifest.version} (there are {', '.join(map(str, versions))})"),
        ("passages", str(manifest.corpus.count)),
        ("metadata", ", ".join(manifest.corpus.metadata_fields) or "none"),
        ("sources", ", ".join(build.sources)),
        ("pair", manifest.fingerprint),
        ("dimension", str(index.dimension)),
        ("index type", f"{index.index_type} {numbers}".strip()),
        ("recall@10", f"{index.recall_at_10:.4f} against exact search"),
        ("measured on", index.recall_queries),
        ("finished", f"{build.finished.isoformat(timespec='seconds')}, after {seconds:.1f} s"),
        ("libraries", ", ".join(f"{name} {version}" for name, version in build.libraries.items())),
    ]
