"""`cosup serve`, `cosup ask`, `cosup keys` and `cosup bench-serve`."""

import typer

from semiparametric.command import settings_command
from service.bench.settings import BenchServeSettings
from service.keys.cli import keys_app
from service.settings import AskSettings, ServeSettings


def add_commands(app: typer.Typer) -> None:
    """Add the service's commands to the `cosup` command."""
    app.add_typer(keys_app, name="keys")

    @settings_command(app, "serve", ServeSettings, help="Answer questions over HTTP until SIGTERM or Ctrl-C.")
    def run_serve(settings: ServeSettings) -> None:
        from service.server import serve

        serve(settings)

    @settings_command(app, "ask", AskSettings, arguments=("question",), help="Answer one question on the terminal.")
    def run_ask(settings: AskSettings) -> None:
        from service.ask import ask

        ask(settings)

    @settings_command(app, "bench-serve", BenchServeSettings, help="Load a running service and print percentiles.")
    def run_bench_serve(settings: BenchServeSettings) -> None:
        from service.bench.run import bench_serve

        bench_serve(settings)
