"""The corpus and example formats: JSON lines, validated, with errors that name file, line and field."""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from semiparametric.errors import InputError
from semiparametric.json_size import check_values
from semiparametric.lines import decoded, raw_lines
from semiparametric.replacing import replaced_file

Scalar = str | int | float | bool
Record = TypeVar("Record", bound=BaseModel)

_PASSAGE_FIELDS = frozenset({"id", "title", "text", "source", "metadata"})


class Passage(BaseModel):
    """One entry of a corpus.

    A scalar under a key that the format does not know (`license`, `url`, ...) is kept as metadata, so that nothing of
    a user's corpus is lost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1, max_length=1024, description="Unique name of the passage within its corpus.")
    title: str = Field(default="", description="Heading that the passage stands under; may be empty.")
    text: str = Field(min_length=1, description="The passage itself, plain text.")
    source: str | None = Field(default=None, description="Where the passage comes from: a file, a page, an address.")
    metadata: dict[str, Scalar] = Field(default_factory=dict, description="Scalars to filter lookups by.")

    @model_validator(mode="before")
    @classmethod
    def _unknown_scalars_become_metadata(cls, data: Any) -> Any:
        if not isinstance(data, dict) or _PASSAGE_FIELDS.issuperset(data):
            return data
        extra = {key: value for key, value in data.items() if key not in _PASSAGE_FIELDS}
        kept = {key: value for key, value in data.items() if key in _PASSAGE_FIELDS}
        scalars = {key: value for key, value in extra.items() if isinstance(value, (str, int, float, bool))}
        given = data.get("metadata", {})
        return kept | {"metadata": scalars | given if isinstance(given, dict) else given}


class SourceRecord(BaseModel):
    """Base of others' records: unknown fields are passed over, numbers may stand where a name is wanted."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, frozen=True)


class Segment(BaseModel):
    """A stretch of a reference answer: cited when it names a passage, plain otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    text: str = Field(min_length=1, description="What the answer says here.")
    passage_id: str | None = Field(
        default=None, description="The passage that supports the text; null for a plain segment."
    )
    negatives: list[str] = Field(
        default_factory=list,
        exclude_if=lambda ids: not ids,  # most files have none, and a key of its own on each line would double them
        description="Passages that the lookup of this segment must learn not to take (hard negatives).",
    )

    @model_validator(mode="after")
    def _negatives_belong_to_a_lookup(self) -> Self:
        if self.negatives and self.passage_id is None:
            raise ValueError("negatives belong to a cited segment, and this one has no passage_id")
        if self.passage_id in self.negatives:
            raise ValueError(f"{self.passage_id!r} is the segment's own passage, which is never a negative")
        if len(set(self.negatives)) < len(self.negatives) or "" in self.negatives:
            raise ValueError("negatives are passage ids, each once and none empty")
        return self


class Example(BaseModel):
    """A question with its reference answer, segment by segment."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    id: str = Field(min_length=1, description="Unique name of the example.")
    task: str = Field(default="", description="Kind of question, for reports.")
    question: str = Field(min_length=1, description="The question as a user would put it.")
    answers: list[str] = Field(default_factory=list, description="Acceptable answers for scoring.")
    segments: list[Segment] = Field(default_factory=list, description="The reference answer in order.")

    @property
    def cited(self) -> list[Segment]:
        """The segments that name a passage, in order."""
        return [segment for segment in self.segments if segment.passage_id is not None]


def read_passages(path: Path) -> Iterator[Passage]:
    """Stream the passages of a `.jsonl` or `.jsonl.gz` corpus.

    Raises:
        InputError: The file is missing, not UTF-8, an id stands twice, or a line is not a passage; file, line and
            field are named.
    """
    return _read_unique(path, Passage)


def read_examples(path: Path) -> Iterator[Example]:
    """Stream the examples of a `.jsonl` or `.jsonl.gz` file; errors as in `read_passages`."""
    return _read_unique(path, Example)


def content_id(prefix: str, title: str, text: str) -> str:
    """The id of a passage whose source gives it none: the same title and text get the same one everywhere."""
    digest = hashlib.sha256(f"{title}\0{text}".encode())
    return f"{prefix}-{digest.hexdigest()[:16]}"


def write_jsonl(path: Path, records: Iterable[BaseModel]) -> int:
    """Write records as JSON lines, gzip-compressed by suffix, and return their count.

    The same records give the same bytes, and the file appears whole or not at all.
    """
    count = 0
    with jsonl_writer(path) as write:
        for record in records:
            write(record)
            count += 1
    return count


@contextmanager
def jsonl_writer(path: Path) -> Iterator[Callable[[BaseModel], None]]:
    """What `write_jsonl` does, one record at a time: for several files that grow together.

    Raises:
        InputError: The folder does not exist.
    """
    if not path.parent.is_dir():
        raise InputError("the folder does not exist", where=str(path.parent), remedy="Create it or name another --out")
    with replaced_file(path) as partial, partial.open("wb") as raw, _compressed(raw, path) as file:

        def write(record: BaseModel) -> None:
            line = json.dumps(record.model_dump(exclude_none=True), ensure_ascii=False)
            file.write(line.encode() + b"\n")

        yield write


def _compressed(raw: IO[bytes], path: Path) -> Any:
    if path.suffix == ".gz":  # no file name and no time inside, so equal records give equal bytes
        return gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)
    return raw


def _read_unique(path: Path, model: type[Record]) -> Iterator[Record]:
    seen: dict[str, int] = {}
    for number, line in raw_lines(path):
        record = parse_json(line, model, f"{path}, line {number}")
        record_id: str = record.id  # type: ignore[attr-defined]
        if record_id in seen:
            raise InputError(
                f"the id {record_id!r} stands on line {seen[record_id]} already",
                where=f"{path}, line {number}, field id",
                remedy="Every id may occur once",
            )
        seen[record_id] = number
        yield record


def parse_json(line: bytes, model: type[Record], where: str) -> Record:
    """A record from its line of JSON.

    Raises:
        InputError: It is not UTF-8, holds too many values or breaks the model's rules; `where` and the first wrong
            field are named.
    """
    text = decoded(line, where)
    check_values(text, where)
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise _first_problem(error, where) from error


def checked(value: Any, model: type[Record], where: str) -> Record:
    """A parsed value as a record of the model; InputError names the first wrong field and the rule it breaks."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _first_problem(error, where) from error


def _first_problem(error: ValidationError, where: str) -> InputError:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    return InputError(first["msg"], where=f"{where}, field {field}" if field else where)
