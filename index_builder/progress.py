"""Lines on stderr that say how far a stage is, how fast, and how long it will take."""

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from semiparametric.formats import Passage

_AT_ONCE = 256  # an update of the bar costs as much as reading a few passages


def passage_progress() -> Progress:
    """A bar of passages."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True))


def read_with_progress(passages: Iterable[Passage], expected: int | None = None) -> Iterator[Passage]:
    """Pass passages on, under a bar.

    Args:
        passages: As they are read.
        expected: About how many they will be, where that is known.
    """
    with passage_progress() as progress:
        task = progress.add_task("reading passages", total=expected)
        count = 0
        for count, passage in enumerate(passages, 1):
            yield passage
            if count % _AT_ONCE == 0:
                progress.update(task, completed=count)
        progress.update(task, completed=count, total=count)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Passages per second over the last while."""
        return Text(f"{task.speed:.0f} passages/s" if task.speed else "")
