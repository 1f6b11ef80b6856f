"""What the cells read: data made of installed documentation, files that must be there, and digests of their content."""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from importlib.metadata import packages_distributions, version
from pathlib import Path
from platform import python_version
from typing import Any

from cosup.experiment.settings import ExperimentSettings, PythonDocs
from semiparametric.errors import InputError

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20


def prepare(settings: ExperimentSettings) -> None:
    """Make the data of `prepare` that is not there yet, or was made of other packages or settings.

    Raises:
        InputError: A package is not installed, or its documentation gives no questions.
    """
    for name, docs in settings.prepare.items():
        folder = settings.out / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        record = folder / "made.json"
        wanted = json.dumps({"settings": docs.model_dump(), "versions": _versions(docs)}, indent=1, sort_keys=True)
        if record.is_file() and record.read_text("utf-8") == wanted:
            continue
        logger.info("making %s of the documentation of %s", folder, ", ".join(docs.package))
        _make(docs, folder)
        record.write_text(wanted, "utf-8")


def check_files(paths: Iterable[Path]) -> None:
    """See that all files are there.

    Raises:
        InputError: Names all that are missing.
    """
    missing = sorted({str(path) for path in paths if not path.is_file()})
    if missing:
        raise InputError(
            f"no such file: {', '.join(missing)}",
            where="corpus, train, held_out or sets",
            remedy="Paths are relative to the folder that the command runs in",
        )


class Digests:
    """SHA-256 of files, each read once."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def of_file(self, path: Path) -> str:
        """Digest of a file's content."""
        if path not in self._known:
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
            self._known[path] = digest.hexdigest()
        return self._known[path]


def digest_of(told: Mapping[str, Any]) -> str:
    """Digest of JSON values, whatever the order of their names."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _make(docs: PythonDocs, folder: Path) -> None:
    from index_builder.python_docs.corpus import build_corpus
    from index_builder.python_docs.settings import PythonCorpusSettings
    from semiparametric.formats import write_jsonl
    from training.examples.build import build_examples
    from training.examples.settings import PythonExamplesSettings

    corpus = folder / "corpus.jsonl.gz"
    passages = build_corpus(PythonCorpusSettings(package=docs.package, out=corpus)).passages
    said = docs.model_dump(exclude={"package"})
    splits = build_examples(passages, PythonExamplesSettings(corpus=corpus, out=folder, **said))
    write_jsonl(corpus, passages)
    for split, examples in splits.items():
        write_jsonl(folder / f"{split}.jsonl.gz", examples)


def _versions(docs: PythonDocs) -> dict[str, str]:
    """Versions of Python and the packages; a package that is not installed is refused by the builder, with its name."""
    known = packages_distributions()
    found = {name: version(known[name][0]) for name in docs.package if name in known}
    return {"python": python_version()} | found
