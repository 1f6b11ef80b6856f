"""`cosup index ...`: write an index."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from index_builder.running_settings import RunningSettings
from index_builder.settings import BuildCommandSettings, DeleteSettings, RebuildSettings, UpsertSettings
from index_builder.tune_settings import TuneSettings
from index_builder.versions_cli import add_version_commands
from semiparametric.command import settings_command

if TYPE_CHECKING:
    from index_builder.plan import Plan
    from index_builder.stages import Stages

index_app = typer.Typer(
    help="Build, change and inspect an index. "
    "Exit codes: 0 done, 2 something to mend, 3 another build holds the index, 130 interrupted.",
    no_args_is_help=True,
)


@settings_command(
    index_app,
    "build",
    BuildCommandSettings,
    help="Encode a corpus with a pair's Embseq and publish it as the next version of an index. "
    "A build that was killed resumes when the same command is run again.",
)
def build(settings: BuildCommandSettings) -> None:
    """Build and say where."""
    from index_builder.build import build_index
    from index_builder.plan import plan_build

    def run(stages: "Stages") -> str:
        manifest = build_index(settings, stages)
        return (
            f"{settings.out}: version {manifest.version} of {manifest.name!r} is served, {manifest.corpus.count} "
            f"passages, recall@10 {manifest.index.recall_at_10:.3f} ({manifest.index.index_type})"
        )

    _run(settings, run, lambda: plan_build(settings))


@settings_command(
    index_app,
    "rebuild",
    RebuildSettings,
    arguments=("index",),
    help="Read the sources of an index again, with the settings of its build, and publish the next version. Only "
    "passages whose content has changed are encoded, or all if the pair has; where nothing has, nothing is published.",
)
def rebuild(settings: RebuildSettings) -> None:
    """Rebuild and say what had changed."""
    from index_builder.rebuild import plan_rebuild, rebuild_index

    _run(settings, lambda stages: rebuild_index(settings, stages).told(settings.index), lambda: plan_rebuild(settings))


@settings_command(
    index_app,
    "upsert",
    UpsertSettings,
    arguments=("index",),
    help="Put passages into an index, in place of those with the same ids, and publish the next version.",
)
def upsert(settings: UpsertSettings) -> None:
    """Upsert and say what was new."""
    from index_builder.upsert import plan_upsert
    from index_builder.upsert import upsert as put_in

    _run(settings, lambda stages: put_in(settings, stages).told(settings.index), lambda: plan_upsert(settings))


@settings_command(
    index_app,
    "delete",
    DeleteSettings,
    arguments=("index",),
    help="Take passages out of an index by their ids, and publish the next version.",
)
def delete(settings: DeleteSettings) -> None:
    """Delete and say how many are left."""
    from index_builder.upsert import delete as take_out
    from index_builder.upsert import plan_delete

    _run(settings, lambda stages: take_out(settings, stages).told(settings.index), lambda: plan_delete(settings))


@settings_command(
    index_app,
    "tune",
    TuneSettings,
    arguments=("index",),
    help="Measure recall and time of each search setting of an index, draw them as tradeoff.png, and publish a version "
    "with the cheapest setting that has the target recall.",
)
def tune(settings: TuneSettings) -> None:
    """Tune and show what was measured."""
    from index_builder.tune import tune as choose_setting
    from semiparametric.store.layout import served_version

    served_version(settings.index)  # before the lock, which would make the folder
    typer.echo(str(choose_setting(settings)))


add_version_commands(index_app)


def _run(settings: RunningSettings, run: Callable[["Stages"], str], plan: "Callable[[], Plan]") -> None:
    """Run a command or only plan it, and write to stdout what the settings ask for."""
    from index_builder.stages import Stages

    as_json = settings.report == "json"
    if settings.dry_run:
        planned = plan()
        typer.echo(planned.model_dump_json() if as_json else str(planned))
        return
    told = run(Stages(_echo_json if as_json else None))
    if not as_json:
        typer.echo(told)


def _echo_json(report: Any) -> None:
    typer.echo(report.model_dump_json())  # typer flushes: a log collector sees each stage when it ends
