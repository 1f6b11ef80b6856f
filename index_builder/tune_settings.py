"""Settings of `cosup index tune`."""

from pathlib import Path

from pydantic import Field

from semiparametric.settings import Settings


class TuneSettings(Settings):
    """What to choose for, and where the picture goes."""

    index: Path = Field(description="Folder of the index.")
    target_recall: float | None = Field(
        default=None, gt=0, le=1, description="Recall@10 to choose for; that of the build, or 0.95, if none."
    )
    picture: Path | None = Field(
        default=None, description="Where to draw the trade-off; tradeoff.png in the index's folder if none."
    )
    dry_run: bool = Field(default=False, description="Measure and draw, but publish nothing.")
