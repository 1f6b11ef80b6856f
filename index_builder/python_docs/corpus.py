"""The whole corpus: modules found, read, given their public names, and written out as passages."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from index_builder.python_docs.compiled import inspect_module
from index_builder.python_docs.modules import IMPLEMENTATION_MODULES, ModuleFile, package_modules, standard_modules
from index_builder.python_docs.passages import passages_of
from index_builder.python_docs.public_names import PublicNames, is_public, shown_module
from index_builder.python_docs.settings import PythonCorpusSettings
from index_builder.python_docs.sources import Documented, ModuleDocs, read_module
from semiparametric.errors import InputError
from semiparametric.formats import Passage

logger = logging.getLogger(__name__)

STANDARD_LIBRARY = "stdlib"  # as a package name: the standard library


@dataclass
class PythonCorpus:
    """The passages in order of their names, and what was met on the way."""

    passages: list[Passage] = field(default_factory=list)
    num_modules: int = 0
    unreadable: list[str] = field(default_factory=list)  # files that cannot be read as Python: "path: reason"


def build_corpus(settings: PythonCorpusSettings) -> PythonCorpus:
    """Make the corpus that the settings name.

    Raises InputError for a package that is not installed, has no Python sources, or has no docstrings.
    """
    corpus = PythonCorpus()
    modules = _read_packages(settings.package or [STANDARD_LIBRARY], settings.inspect_timeout_seconds, corpus)
    seen_ids: set[str] = set()
    seen_contents: set[tuple[str, str]] = set()
    for passage in _passages(modules, settings.private, settings.max_words):
        if passage.id not in seen_ids and (passage.title, passage.text) not in seen_contents:
            seen_ids.add(passage.id)
            seen_contents.add((passage.title, passage.text))
            corpus.passages.append(passage)
    corpus.num_modules = len({passage.metadata["module"] for passage in corpus.passages})
    if not corpus.passages:
        names = ", ".join(settings.package)
        raise InputError(f"no public docstrings found in {names}", remedy="Try --private, or name another package")
    return corpus


def _read_packages(packages: Sequence[str], timeout_seconds: float, corpus: PythonCorpus) -> dict[str, ModuleDocs]:
    found = [
        standard_modules() if package == STANDARD_LIBRARY else (package_modules(package), []) for package in packages
    ]
    modules: dict[str, ModuleDocs] = {}
    for files, compiled in found:
        for file in files:
            docs = _read_or_skip(file, corpus)
            if docs is not None:
                modules[file.name] = docs
        for name in compiled:
            inspected = inspect_module(name, timeout_seconds)
            if inspected is not None:
                modules[name] = inspected
    return modules


def _read_or_skip(file: ModuleFile, corpus: PythonCorpus) -> ModuleDocs | None:
    try:
        return read_module(file)
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        reason = f"{file.shown_path}: {error}"
        logger.warning("source left out, it cannot be read as Python: %s", reason)
        corpus.unreadable.append(reason)
        return None


def _passages(modules: dict[str, ModuleDocs], private: bool, max_words: int) -> Iterator[Passage]:
    """Yield passages by name; what a module defines itself comes before what it offers of others."""
    public = PublicNames(modules)
    named: list[tuple[str, int, str, Documented]] = []
    for module, docs in modules.items():
        for documented in docs.documented.values():
            home, path = _public_path(public, module, documented.path)
            shown = shown_module(home)
            if private or (is_public(shown) and is_public(path) and home not in IMPLEMENTATION_MODULES):
                name = f"{shown}.{path}" if path else shown
                named.append((name, int(home != module), shown, documented))
    for name, _, module, documented in sorted(named, key=lambda row: (row[0], row[1], row[3].source)):
        yield from passages_of(
            name, module, documented.kind, documented.signature, documented.docstring, documented.source, max_words
        )


def _public_path(public: PublicNames, module: str, path: str) -> tuple[str, str]:
    if not path:
        return module, ""
    top, dot, rest = path.partition(".")
    home, name = public.home(module, top)
    return home, name + dot + rest
