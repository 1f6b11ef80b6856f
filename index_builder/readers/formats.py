"""The record formats by name, and how a file tells which one it is in."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from index_builder.readers import DOCUMENT_READERS
from index_builder.readers.alce import AlceDocuments
from index_builder.readers.dpr import DprLines
from index_builder.readers.json_lines import BeirLines, PassageLines
from index_builder.readers.kilt import KiltPages
from index_builder.readers.parquet import ParquetRows
from index_builder.readers.records import RecordReader
from semiparametric.errors import InputError
from semiparametric.json_values import first_character, line_value
from semiparametric.lines import COMPRESSIONS, raw_lines

BEIR_CORPUS = "corpus.jsonl"

_LOOKED_AT = 100  # records at the beginning of a file of which one must tell what the file is


@dataclass(frozen=True)
class RecordFormat:
    """A format whose files hold records.

    Attributes:
        reader: Reads one file of it.
        suffixes: Of its files; each of a text format also with `.gz` or `.zst`.
        repeats: Whether a passage may stand in several records.
    """

    reader: type[RecordReader]
    suffixes: tuple[str, ...]
    repeats: bool = False

    def is_name(self, name: str) -> bool:
        """Whether a file's name is one of this format."""
        lower = name.lower()
        if self.reader is not ParquetRows:
            lower = lower.removesuffix(COMPRESSIONS[0]).removesuffix(COMPRESSIONS[1])
        return lower.endswith(self.suffixes)


_JSON = (".jsonl", ".json")

RECORD_FORMATS: Mapping[str, RecordFormat] = {
    "jsonl": RecordFormat(PassageLines, _JSON),
    "parquet": RecordFormat(ParquetRows, (".parquet",)),
    "beir": RecordFormat(BeirLines, _JSON),
    "dpr": RecordFormat(DprLines, (".tsv",)),
    "kilt": RecordFormat(KiltPages, _JSON),
    "alce": RecordFormat(AlceDocuments, _JSON, repeats=True),
}


def format_of(path: Path) -> str:
    """What a file holds, by its name and, for JSON, by its first record.

    Raises:
        InputError: The name is of no known type, or the file cannot be opened.
    """
    if path.suffix.lower() in DOCUMENT_READERS:
        return "documents"
    for name in ("parquet", "dpr"):
        if RECORD_FORMATS[name].is_name(path.name):
            return name
    if RECORD_FORMATS["jsonl"].is_name(path.name):
        return _json_format(path)
    raise InputError(f"files of type {path.suffix!r} cannot be read", where=str(path), remedy=known_types())


def beir_corpus(folder: Path) -> Path | None:
    """The corpus file of a folder, if it is a BEIR set."""
    for suffix in ("", *COMPRESSIONS):
        path = folder / f"{BEIR_CORPUS}{suffix}"
        if path.is_file():
            return path
    return None


def known_types() -> str:
    """What can be read, as a remedy."""
    return (
        "Give a file of type .jsonl, .json or .tsv (each also with .gz or .zst), .parquet, "
        f"{', '.join(DOCUMENT_READERS)} or a folder of documents"
    )


def _json_format(path: Path) -> str:
    try:
        if first_character(path) == "[":
            return "alce"
        first = _first_object(path)
    except InputError:  # whatever it is, reading the file will say it
        return "jsonl"
    if isinstance(first.get("text"), list) and "wikipedia_id" in first:
        return "kilt"
    if "docs" in first:
        return "alce"
    return "beir" if "_id" in first and "id" not in first else "jsonl"


def _first_object(path: Path) -> dict[str, Any]:
    """The first line that is a JSON object; an empty one where none is near the beginning."""
    for _, line in islice(raw_lines(path), _LOOKED_AT):
        try:
            value = line_value(line, str(path))
        except InputError:
            continue
        if isinstance(value, dict):
            return value
    return {}
