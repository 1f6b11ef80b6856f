"""BEIR: queries, a corpus, and judgements of which passage is relevant to which query."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, Segment
from semiparametric.lines import numbered_lines
from training.examples.converters.converted import Converted, closest_sentence
from training.examples.converters.records import SourceRecord, read_records
from training.examples.settings import ConvertSettings

_COLUMNS = "query id, corpus id and score, separated by tabs"


class _Query(SourceRecord):
    id: str = Field(alias="_id", min_length=1)
    text: str


class _Document(SourceRecord):
    id: str = Field(alias="_id", min_length=1)
    title: str = ""
    text: str


@dataclass
class _Judged:
    """Judgements of one query: passage ids with their scores, relevant and not."""

    relevant: list[tuple[int, str]] = field(default_factory=list)
    irrelevant: list[str] = field(default_factory=list)

    def best(self, count: int) -> list[str]:
        """The most relevant ones, of equals the first."""
        ordered = [name for _, name in sorted(self.relevant, key=lambda entry: -entry[0])]
        return list(dict.fromkeys(ordered))[:count]

    def negatives(self, known: Container[str]) -> list[str]:
        """Those judged not relevant, of a corpus."""
        relevant = {name for _, name in self.relevant}
        return [name for name in dict.fromkeys(self.irrelevant) if name in known and name not in relevant]


def convert_beir(path: Path, settings: ConvertSettings) -> Iterator[Converted]:
    """One example for each query and relevant passage, cited for its sentence that is closest to the query.

    Args:
        path: A judgements file, `<folder>/qrels/<split>.tsv`; `queries.jsonl` and `corpus.jsonl` stand in its folder.
        settings: `corpus` names another corpus, `positives` and `negatives` limit what a query gets.

    Raises:
        InputError: A file is missing, or a line of one is wrong.
    """
    folder = path.parent.parent
    judged = _judgements(path)
    wanted = {name for one in judged.values() for name in one.best(settings.positives)}
    kept: dict[str, Passage] = {}
    known: set[str] = set()
    for passage in _corpus(settings.corpus or _beside(folder, "corpus.jsonl")):
        known.add(passage.id)
        if passage.id in wanted:
            kept[passage.id] = passage
        yield Converted(passages=(passage,))
    task = settings.task or folder.resolve().name
    asked = set()
    for _, query in read_records(_beside(folder, "queries.jsonl"), _Query):
        if query.id in judged:
            asked.add(query.id)
            judgement = judged[query.id]
            negatives = judgement.negatives(known)[: settings.negatives]
            yield from _converted(query, judgement.best(settings.positives), negatives, kept, task)
    yield from (Converted(left_out="query is not in queries.jsonl") for name in judged if name not in asked)


def _converted(
    query: _Query, relevant: Sequence[str], negatives: Sequence[str], passages: Mapping[str, Passage], task: str
) -> Iterator[Converted]:
    if not query.text.strip() or not relevant:
        yield Converted(left_out="no relevant passage" if query.text.strip() else "blank question")
        return
    for number, name in enumerate(relevant, start=1):
        passage = passages.get(name)
        if passage is None:
            yield Converted(left_out="relevant passage is not in the corpus")
            continue
        text = closest_sentence(query.text, passage.text)
        segment = Segment(text=text, passage_id=name, negatives=list(negatives))
        yield Converted(
            Example(
                id=query.id if number == 1 else f"{query.id}-{number}",
                task=task,
                question=query.text.strip(),
                segments=[segment],
            )
        )


def _corpus(path: Path) -> Iterator[Passage]:
    for _, document in read_records(path, _Document):
        if document.text.strip():
            yield Passage(id=document.id, title=document.title, text=document.text)


def _beside(folder: Path, name: str) -> Path:
    found = next((folder / each for each in (name, f"{name}.gz") if (folder / each).is_file()), None)
    if found is None:
        raise InputError(f"there is no {name}", where=str(folder), remedy="Give the folder of a whole BEIR set")
    return found


def _judgements(path: Path) -> dict[str, _Judged]:
    judged: dict[str, _Judged] = {}
    for number, line in numbered_lines(path):
        columns = line.rstrip("\r\n").split("\t")
        if number == 1 and columns[-1].strip().lower() == "score":
            continue
        if len(columns) != 3:
            raise InputError(
                f"{len(columns)} columns", where=f"{path}, line {number}", remedy=f"There should be {_COLUMNS}"
            )
        query, name, score = (column.strip() for column in columns)
        if not score.removeprefix("-").isdecimal():
            raise InputError(
                f"the score {score!r} is not a whole number",
                where=f"{path}, line {number}, field score",
                remedy=f"There should be {_COLUMNS}",
            )
        one = judged.setdefault(query, _Judged())
        if int(score) > 0:
            one.relevant.append((int(score), name))
        else:
            one.irrelevant.append(name)
    return judged
