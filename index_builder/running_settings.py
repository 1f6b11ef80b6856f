"""How a command that writes an index runs and reports: none of it changes what is written."""

from typing import Literal

from pydantic import Field

from semiparametric.settings import Settings


class RunningSettings(Settings):
    """What the commands that write a version have in common."""

    report: Literal["text", "json"] = Field(
        default="text", description="On stdout: a line for people at the end, or one JSON line per stage."
    )
    dry_run: bool = Field(default=False, description="Read and check everything, say what would happen, write nothing.")
