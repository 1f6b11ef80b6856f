"""That a corpus stays what it was while it is read."""

from collections.abc import Callable, Sequence
from pathlib import Path

from semiparametric.errors import InputError

Stamp = tuple[int, int, int]
Listing = Callable[[], Sequence[Path]]


class Unchanged:
    """The files of a corpus with size, time of change and number, as they were found.

    Args:
        listing: Gives the files; called again at the end.
    """

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._stamps = {path: _stamp(path) for path in listing()}

    def check(self, path: Path) -> None:
        """Look at one file again.

        Raises:
            InputError: It has changed.
        """
        if _stamp(path) != self._stamps[path]:
            raise _changed(path)

    def check_all(self) -> None:
        """Look at all files again, and for new ones.

        Raises:
            InputError: One has changed, come or gone.
        """
        files = self._listing()
        for path in files:
            if path not in self._stamps or _stamp(path) != self._stamps[path]:
                raise _changed(path)
        gone = self._stamps.keys() - set(files)
        if gone:
            raise _changed(min(gone))


def _changed(path: Path) -> InputError:
    return InputError(
        "has changed while the corpus was read, so that passages of two states would be mixed",
        where=str(path),
        remedy="Run the command again when nobody writes there",
    )


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:  # not there, or not to be seen: reading it will say so
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino
