"""That every id of a corpus names one passage, over all of its files."""

from pathlib import Path

from semiparametric.errors import InputError
from semiparametric.formats import Passage

_LINES = 1 << 40  # more than any file has: a place is a file's number times this plus a line's


class UniqueIds:
    """The ids so far, each with its place, about a hundred bytes for each passage."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._files: list[tuple[Path, str]] = []
        self._contents: dict[str, int] = {}
        self._repeats = False

    def begin(self, path: Path, unit: str, *, repeats: bool) -> None:
        """The next file.

        Args:
            path: The file.
            unit: What its numbers count: line, row, record, passage.
            repeats: Whether the same passage may come several times.
        """
        self._files.append((path, unit))
        self._repeats = repeats

    def add(self, passage: Passage, number: int) -> bool:
        """Whether a passage is to be kept: False where it has come before, as its file's format allows.

        Raises:
            InputError: Another passage has its id.
        """
        earlier = self._places.get(passage.id)
        if earlier is None:
            self._places[passage.id] = (len(self._files) - 1) * _LINES + number
            if self._repeats:
                self._contents[passage.id] = _content(passage)
            return True
        if self._repeats and self._contents.get(passage.id) == _content(passage):
            return False
        raise self._taken(passage.id, earlier, number)

    def _taken(self, passage_id: str, earlier: int, number: int) -> InputError:
        path, unit = self._files[-1]
        first, first_number = divmod(earlier, _LINES)
        first_path, first_unit = self._files[first]
        place = f"{'on' if first_unit == 'line' else 'in'} {first_unit} {first_number}"
        return InputError(
            f"the id {passage_id!r} stands {place}{'' if first_path == path else f' of {first_path}'} already",
            where=f"{path}, {unit} {number}, field id",
            remedy="Every id may occur once",
        )


def _content(passage: Passage) -> int:
    return hash((passage.title, passage.text))
