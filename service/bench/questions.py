"""The questions of a load, from a file."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from semiparametric.errors import InputError
from semiparametric.formats import parse_json
from semiparametric.lines import COMPRESSIONS, decoded, raw_lines


class _Asked(BaseModel):
    """A record that holds a question among other things, as an example does."""

    model_config = ConfigDict(extra="ignore", strict=True)

    question: str = Field(min_length=1)


def read_questions(path: Path) -> list[str]:
    """The questions of a text file, one a line, or of JSON lines with a field `question`; compressed or not.

    Raises:
        InputError: The file cannot be read, a line is no such record, or there is no question.
    """
    suffixes = [suffix for suffix in path.suffixes if suffix not in COMPRESSIONS]
    is_json = suffixes[-1:] == [".jsonl"]
    questions = []
    for number, line in raw_lines(path):
        where = f"{path}, line {number}"
        questions.append(parse_json(line, _Asked, where).question if is_json else decoded(line, where).strip())
    if not questions:
        raise InputError("holds no question", where=str(path), remedy="Write one on each line")
    return questions
