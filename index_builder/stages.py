"""A build as named stages: each logs one line when it ends and hands one report to whoever asked for them."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from semiparametric.errors import CosupError

logger = logging.getLogger(__name__)

StageName = Literal["read", "encode", "index", "verify", "publish"]
Figure = int | float | str


class StageReport(BaseModel):
    """One stage of a build that ended, well or not. Its figures stand beside these fields, each under its own name."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Figure] = Field(init=False)

    stage: StageName = Field(description="Which stage.")
    seconds: float = Field(ge=0, description="How long it took.")
    error: str | None = Field(default=None, exclude_if=lambda error: error is None, description="Why it failed.")

    @property
    def figures(self) -> dict[str, Figure]:
        """What the stage counted, with its rates."""
        return self.__pydantic_extra__

    def __str__(self) -> str:
        told = [f"{self.seconds:.1f} s", *(f"{name.replace('_', ' ')} {_short(n)}" for name, n in self.figures.items())]
        return f"{self.stage}{' failed' if self.error else ''}: {', '.join(told)}"


class Stage:
    """A stage under way."""

    def __init__(self, name: StageName) -> None:
        self._name = name
        self._started = perf_counter()
        self._figures: dict[str, Figure] = {}
        self._rated: set[str] = set()

    def tell(self, **figures: Figure) -> None:
        """Put figures into the stage's report."""
        self._figures |= figures

    def count(self, **counts: int) -> None:
        """Put counts into the report, each with its rate per second of the stage."""
        self._figures |= counts
        self._rated |= counts.keys()

    def report(self, error: str | None = None) -> StageReport:
        """What can be said of the stage now."""
        seconds = perf_counter() - self._started
        rates = {f"{name}_per_second": round(self._figures[name] / seconds, 1) for name in sorted(self._rated)}  # type: ignore[operator]
        return StageReport(stage=self._name, seconds=round(seconds, 3), error=error, **self._figures | rates)


class Stages:
    """The stages of one build.

    Args:
        on_report: Called with the report of each stage that ended; None only logs.
    """

    def __init__(self, on_report: Callable[[StageReport], None] | None = None) -> None:
        self._on_report = on_report

    @contextmanager
    def stage(self, name: StageName) -> Iterator[Stage]:
        """Time what is done inside; it is reported whether it ends well or with an error that a user can act on."""
        stage = Stage(name)
        try:
            yield stage
        except CosupError as error:
            self._end(stage.report(str(error)))
            raise
        self._end(stage.report())

    def _end(self, report: StageReport) -> None:
        logger.info("%s", report)
        if self._on_report is not None:
            self._on_report(report)


def _short(figure: Figure) -> str:
    if not isinstance(figure, float):
        return str(figure)
    return f"{figure:.4g}" if abs(figure) < 1000 else f"{figure:.0f}"
