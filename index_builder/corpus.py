"""A corpus as a stream of passages, whatever it is stored in."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from index_builder.readers import DOCUMENT_READERS
from index_builder.readers.formats import RECORD_FORMATS
from index_builder.reading import Reading
from index_builder.rejects import Rejects
from index_builder.sources import Source, find_sources
from index_builder.splitting import Splitter
from index_builder.unchanged import Unchanged
from index_builder.unique import UniqueIds
from semiparametric.errors import InputError
from semiparametric.formats import Passage

LONGEST_TEXT = 1_000_000
"""Characters of a passage's text at most: a longer one is a document, and no pair reads a hundredth of it."""

_LONGEST_NAME = 1000  # characters of a document's path: its passages' ids are a little longer

_Item = tuple[int, Any, Passage]  # the number of a record, the record as it stands, and a passage that it became


def read_corpus(paths: Sequence[Path], reading: Reading) -> Iterator[Passage]:
    """Stream the passages of a corpus: record files, documents, and folders of documents (in sorted order).

    Documents are split into passages `<relative path>#<n>`, titled by their headings; other passages stay as they are.
    Hidden files are passed over, and files of other types too, with a warning that names them.

    Args:
        paths: Files and folders; an id may occur once in all of them.
        reading: How; its counts are set afresh.

    Raises:
        InputError: A path does not exist, is of an unknown type or holds nothing to read; a file changes meanwhile;
            or a record is wrong, where this stops a reading.
    """
    sources = find_sources(paths, reading.format)
    unchanged = Unchanged(lambda: [source.path for source in find_sources(paths, reading.format, warn=False)])
    passages = _passages(sources, unchanged, reading)
    return reading.near_duplicates.left_out(passages) if reading.near_duplicates else passages


def _passages(sources: Sequence[Source], unchanged: Unchanged, reading: Reading) -> Iterator[Passage]:
    ids = UniqueIds()
    with reading.rejects.open():
        for source in sources:
            if source.format == "documents":
                ids.begin(source.path, "passage", repeats=False)
                items = _document_items(source, reading.splitter, reading.rejects)
                yield from _kept(items, f"{source.path}, passage", ids, reading.rejects)
            else:
                form = RECORD_FORMATS[source.format]
                ids.begin(source.path, form.reader.unit, repeats=form.repeats)
                items = _record_items(source, reading.rejects)
                yield from _kept(items, f"{source.path}, {form.reader.unit}", ids, reading.rejects)
            unchanged.check(source.path)
        unchanged.check_all()


def _record_items(source: Source, rejects: Rejects) -> Iterator[_Item]:
    reader = RECORD_FORMATS[source.format].reader(source.path)
    place = f"{source.path}, {reader.unit}"
    for number, raw in _readable(reader.records(), rejects):
        try:
            passages = list(reader.passages(raw, f"{place} {number}"))
        except InputError as error:
            rejects.add(error, raw)
            continue
        for passage in passages:
            yield number, raw, passage


def _readable(records: Iterator[tuple[int, Any]], rejects: Rejects) -> Iterator[tuple[int, Any]]:
    """The records as far as the file can be read."""
    try:
        yield from records
    except InputError as error:
        rejects.add(error)


def _document_items(source: Source, splitter: Splitter, rejects: Rejects) -> Iterator[_Item]:
    try:
        _check_name(source)
        sections = DOCUMENT_READERS[source.path.suffix.lower()](source.path)
    except InputError as error:
        rejects.add(error)
        return
    number = 0
    for section in sections:
        for piece in splitter.split(section):
            number += 1
            values = {
                "id": f"{source.name}#{number}",
                "title": piece.title,
                "text": piece.text,
                "source": source.name,
                "metadata": {"file": source.name} | ({"page": piece.page} if piece.page else {}),
            }
            yield number, piece.text, Passage.model_validate(values)


def _check_name(source: Source) -> None:
    try:
        source.name.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the file name {source.name!r} is not UTF-8", where=str(source.path.parent), remedy="Rename it"
        ) from error
    if len(source.name) > _LONGEST_NAME:
        raise InputError(
            f"its path of {len(source.name)} characters is too long to be an id",
            where=str(source.path),
            remedy=f"Give a folder from which it has {_LONGEST_NAME} at most",
        )


def _kept(items: Iterator[_Item], place: str, ids: UniqueIds, rejects: Rejects) -> Iterator[Passage]:
    """Passages with a text of their own and an id of their own."""
    for number, raw, passage in items:
        try:
            _check_text(passage.text, place, number)
            is_new = ids.add(passage, number)
        except InputError as error:
            rejects.add(error, raw)
        else:
            if is_new:
                yield passage


def _check_text(text: str, place: str, number: int) -> None:
    if text.isspace():
        raise InputError("the text is blank", where=f"{place} {number}, field text")
    if len(text) > LONGEST_TEXT:
        raise InputError(
            f"the text has {len(text):,} characters, {LONGEST_TEXT:,} is the most",
            where=f"{place} {number}, field text",
            remedy="Split it, or give it as a document, which is split as it is read",
        )
