"""`cosup examples convert`: sources in, one examples file for each or for all, and the corpus that they carry."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from semiparametric.errors import InputError
from semiparametric.formats import Passage, jsonl_writer
from training.examples.converters import CONVERTERS
from training.examples.settings import ConvertSettings

CORPUS = "corpus.jsonl.gz"
SUFFIXES = (".jsonl", ".jsonl.gz")

Write = Callable[[BaseModel], None]


@dataclass
class Written:
    """An examples file: how many examples of each task it holds, and why how many records gave none."""

    path: Path
    tasks: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass
class Conversion:
    """All that one conversion wrote; `corpus` is None where the sources carry no passages."""

    examples: list[Written] = field(default_factory=list)
    corpus: Path | None = None
    num_passages: int = 0


def convert(settings: ConvertSettings) -> Conversion:
    """Convert all sources; nothing is written unless all of them are right.

    An id that a source uses again gets `#2`, `#3` and so on in its examples file.

    Raises:
        InputError: A source is wrong, or no example can be made of one; file, record and field are named.
    """
    sources = list(_sources(settings))
    places = _places(sources, settings.out)
    if not settings.out.name.endswith(SUFFIXES):
        settings.out.mkdir(parents=True, exist_ok=True)
    conversion = Conversion()
    with ExitStack() as files:
        corpus = _CorpusWriter(_corpus_path(settings.out), files)
        writers: dict[Path, tuple[Written, Write, Counter[str]]] = {}
        for source, place in zip(sources, places, strict=True):
            if place not in writers:
                conversion.examples.append(Written(place))
                writers[place] = (conversion.examples[-1], files.enter_context(jsonl_writer(place)), Counter())
            _convert_source(source, settings, *writers[place], corpus)
        _refuse_nothing(conversion)
        conversion.num_passages = len(corpus.seen)
        conversion.corpus = corpus.path if corpus.seen else None
    return conversion


def _convert_source(
    source: Path,
    settings: ConvertSettings,
    written: Written,
    write: Write,
    names: Counter[str],
    corpus: "_CorpusWriter",
) -> None:
    for converted in CONVERTERS[settings.format](source, settings):
        for passage in converted.passages:
            corpus.add(passage, source)
        if converted.left_out:
            written.left_out[converted.left_out] += 1
        example = converted.example
        if example is None:
            continue
        names[example.id] += 1
        if names[example.id] > 1:
            example = example.model_copy(update={"id": f"{example.id}#{names[example.id]}"})
        written.tasks[example.task] += 1
        write(example)


class _CorpusWriter:
    """Writes each passage once; the file is opened with the first one."""

    def __init__(self, path: Path, files: ExitStack) -> None:
        self.path = path
        self.seen: dict[str, int] = {}
        self._files = files
        self._write: Write | None = None

    def add(self, passage: Passage, source: Path) -> None:
        """Write a passage that has not been written yet."""
        count = len(self.seen)
        content = hash((passage.title, passage.text))
        if self.seen.setdefault(passage.id, content) != content:
            raise InputError(
                f"the id {passage.id!r} names two different passages",
                where=str(source),
                remedy="Convert sources that name passages differently one by one, each to its own --out",
            )
        if len(self.seen) == count:
            return
        if self._write is None:
            self._write = self._files.enter_context(jsonl_writer(self.path))
        self._write(passage)


def _sources(settings: ConvertSettings) -> Iterator[Path]:
    for path in settings.in_:
        if settings.format == "beir" and path.is_dir():
            judgements = sorted((path / "qrels").glob("*.tsv"))
            if not judgements:
                raise InputError("there is no qrels/*.tsv", where=str(path), remedy="Give the folder of a BEIR set")
            yield from judgements
        elif not path.is_file():
            raise InputError("no such file", where=str(path))
        else:
            yield path


def _places(sources: list[Path], out: Path) -> list[Path]:
    if out.name.endswith(SUFFIXES):
        return [out] * len(sources)
    if out.is_file():
        raise InputError("it is neither a folder nor named .jsonl or .jsonl.gz", where=str(out), remedy="Rename --out")
    names = [source.name.split(".")[0] for source in sources]
    twice = next((name for name, count in Counter(names).items() if count > 1 or name == "corpus"), None)
    if twice is not None:
        raise InputError(
            f"{twice}.jsonl.gz would be written twice",
            where=str(out),
            remedy="Rename a source, or name a file as --out",
        )
    return [out / f"{name}.jsonl.gz" for name in names]


def _corpus_path(out: Path) -> Path:
    if not out.name.endswith(SUFFIXES):
        return out / CORPUS
    stem, suffix = out.name.split(".jsonl", 1)
    return out.with_name(f"{stem}-corpus.jsonl{suffix}")


def _refuse_nothing(conversion: Conversion) -> None:
    for written in conversion.examples:
        if not written.tasks:
            reasons = ", ".join(f"{reason} ({count})" for reason, count in written.left_out.most_common())
            raise InputError(
                f"no example can be made: {reasons or 'the source is empty'}",
                where=str(written.path),
                remedy="Check --format and the source",
            )
