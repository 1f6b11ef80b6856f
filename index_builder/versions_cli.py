"""`cosup index list|info|verify|rollback|gc`: the versions of an index."""

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semiparametric.command import one_line_errors

if TYPE_CHECKING:
    from semiparametric.store import Manifest, VersionSummary

Index = Annotated[Path, typer.Argument(help="Folder of the index.")]
Version = Annotated[int | None, typer.Option(help="A version's number; the served one if none.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_version_commands(app: typer.Typer) -> None:
    """Put the commands about versions into `cosup index`."""
    app.command("list", help="List the versions of an index.")(list_)
    app.command(help="Say what an index holds and how it was made.")(info)
    app.command(help="Check a version's files against their checksums and its manifest, whole.")(verify)
    app.command(help="Serve an older version again. A running service takes it up within seconds.")(rollback)
    app.command(help="Remove old versions and what killed builds left.")(gc)


def list_(index: Index, json: AsJson = False) -> None:
    """List the versions, oldest first."""
    with one_line_errors():
        from semiparametric.store import list_versions

        versions = list_versions(index)
        if json:
            typer.echo(dumps([asdict(one) for one in versions], indent=2, default=str))
            return
        typer.echo(f"{'version':>7}  {'passages':>10}  {'deleted':>7}  {'type':<9} {'size':>9}  {'made':<20} ")
        for one in versions:
            typer.echo(_row(one))


def info(index: Index, version: Version = None, json: AsJson = False) -> None:
    """Show a version's manifest."""
    with one_line_errors():
        from semiparametric.store import manifest_of, versions

        manifest = manifest_of(index, version=version)
        if json:
            typer.echo(manifest.model_dump_json(indent=2))
            return
        for label, value in _described(manifest, versions(index)):
            typer.echo(f"{label:<12} {value}")


def verify(index: Index, version: Version = None) -> None:
    """Verify a version of an index."""
    with one_line_errors():
        from semiparametric.store import Store

        with Store.open(index, version=version, check=True) as store:
            count = store.manifest.corpus.count
            typer.echo(f"{index}: version {store.version} is whole, {count} passages, all checksums match")


def rollback(
    index: Index,
    version: Annotated[
        int | None, typer.Option(help="The version to serve; the one before the served one if none.")
    ] = None,
) -> None:
    """Serve an older version."""
    with one_line_errors():
        from semiparametric.store import roll_back
        from semiparametric.store.layout import served_version
        from semiparametric.store.lock import build_lock

        before = served_version(index)
        with build_lock(index):
            served = roll_back(index, version)
        typer.echo(f"{index}: version {served} is served, before it was {before}")


def gc(
    index: Index,
    keep: Annotated[int, typer.Option(help="So many of the newest versions stay; the served one always does.")] = 3,
) -> None:
    """Remove old versions."""
    with one_line_errors():
        from semiparametric.store import collect_garbage
        from semiparametric.store.layout import served_version, versions
        from semiparametric.store.lock import build_lock

        served_version(index)
        with build_lock(index):
            removed = collect_garbage(index, keep)
        gone = f"removed {', '.join(map(str, removed))}" if removed else "nothing to remove"
        typer.echo(f"{index}: {gone}; there are {', '.join(map(str, versions(index)))}")


def _row(one: "VersionSummary") -> str:
    made = one.created.isoformat(timespec="seconds").removesuffix("+00:00") if one.created else ""
    count, deleted = ("" if number is None else str(number) for number in (one.count, one.deleted))
    notes = [f"extends {one.base}"] if one.base else []
    notes += ["served"] if one.served else []
    notes += [one.problem] if one.problem else []
    size = f"{one.size / 1e6:.1f} MB"
    kind = one.index_type or ""
    return f"{one.version:>7}  {count:>10}  {deleted:>7}  {kind:<9} {size:>9}  {made:<20} {', '.join(notes)}".rstrip()


def _described(manifest: "Manifest", versions: list[int]) -> list[tuple[str, str]]:
    index, build = manifest.index, manifest.build
    numbers = ", ".join(f"{name} {value}" for name, value in index.index_parameters.items())
    seconds = (build.finished - build.started).total_seconds()
    changed = f", {len(build.upserted)} upserted and {len(build.deleted)} deleted since the build"
    return [
        ("index", manifest.name),
        ("version", f"{manifest.version} (there are {', '.join(map(str, versions))})"),
        ("passages", f"{manifest.corpus.count}{changed if build.upserted or build.deleted else ''}"),
        ("metadata", ", ".join(manifest.corpus.metadata_fields) or "none"),
        ("sources", ", ".join(build.sources)),
        ("pair", manifest.fingerprint),
        ("dimension", str(index.dimension)),
        ("index type", f"{index.index_type} {numbers}".strip()),
        *([("chosen since", index.reason)] if index.reason else []),
        ("recall@10", f"{index.recall_at_10:.4f} against exact search"),
        ("measured on", index.recall_queries),
        ("finished", f"{build.finished.isoformat(timespec='seconds')}, after {seconds:.1f} s"),
        ("libraries", ", ".join(f"{name} {version}" for name, version in build.libraries.items())),
    ]
