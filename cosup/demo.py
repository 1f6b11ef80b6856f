"""`cosup demo`: the whole of Cosup on the documentation of the Python that runs it."""

from pathlib import Path

import typer
from pydantic import Field

from semiparametric.command import settings_command
from semiparametric.settings import Settings

QUESTIONS = (
    "What does textwrap.dedent do?",
    "Which function returns the median of data?",
    "What is the difference between copy.copy and copy.deepcopy?",
)
"""Asked in this order. The last one wants two lookups."""

_DEFAULT_PORT = 8000


class DemoSettings(Settings):
    """What the demo uses and where it works."""

    pair: Path = Field(
        default=Path(__file__).parents[1] / "models" / "nano", description="Folder of the pair; that of this checkout."
    )
    folder: Path = Field(default=Path(".demo"), description="Folder for corpus, index and log; made if missing.")
    port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port of the service: if none a free one, or 8000 with --keep-serving.",
    )
    keep_serving: bool = Field(default=False, description="Leave the service running in the foreground until Ctrl-C.")

    @property
    def service_port(self) -> int:
        """The port that the service is told."""
        if self.port is not None:
            return self.port
        return _DEFAULT_PORT if self.keep_serving else 0


def add_commands(app: typer.Typer) -> None:
    """Add `demo` to the `cosup` command."""

    @settings_command(
        app, "demo", DemoSettings, help="Index the documentation of your Python and ask it three questions."
    )
    def run_demo(settings: DemoSettings) -> None:
        from cosup.demo_steps import run

        run(settings, QUESTIONS)
