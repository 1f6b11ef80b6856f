"""The documented names of a corpus of Python documentation, each with its passages."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from semiparametric.formats import Passage
from training.examples.sentences import first_sentence
from training.examples.summaries import Summary, summarize

ID_PREFIX = "python:"


@dataclass(frozen=True)
class Entry:
    """One documented module, class, function, method or property."""

    name: str  # fully qualified, as in the passage id
    shown: str  # as users write it: the title without its signature
    signature: str  # "(obj, *, skipkeys=False, ...)", perhaps cut, or empty
    module: str
    kind: str
    passages: tuple[Passage, ...]  # the parts of the docstring in order
    summary: Summary | None

    @property
    def top_level(self) -> str:
        """The first component of its module's name."""
        return self.module.split(".", 1)[0]

    @property
    def owner(self) -> str:
        """The shown name of the class or module that it stands in."""
        return self.shown.rpartition(".")[0]

    @property
    def subject(self) -> str:
        """The name as the subject of a sentence: callables are marked as such."""
        return f"{self.shown}()" if self.kind in {"function", "method"} else self.shown

    @property
    def statement(self) -> str:
        """One sentence that says what it is; only for entries with a summary."""
        return self.summary.statement(self.subject) if self.summary else ""


def read_entries(passages: Iterable[Passage]) -> list[Entry]:
    """Group passages by documented name, in the order of their first parts; passages of other corpora are left out."""
    groups: dict[str, list[Passage]] = {}
    for passage in passages:
        if passage.id.startswith(ID_PREFIX):
            groups.setdefault(passage.id.removeprefix(ID_PREFIX).partition("#")[0], []).append(passage)
    return [_entry(name, parts) for name, parts in groups.items()]


def _entry(name: str, parts: list[Passage]) -> Entry:
    head = parts[0]
    shown, bracket, rest = head.title.partition("(")
    kind = str(head.metadata.get("kind", ""))
    sentence = first_sentence(head.text)
    return Entry(
        name=name,
        shown=shown,
        signature=bracket + rest,
        module=str(head.metadata.get("module", "")),
        kind=kind,
        passages=tuple(parts),
        summary=summarize(sentence, kind, shown.rpartition(".")[2]) if sentence else None,
    )


def split_of(top_level: str, test_percent: float, dev_percent: float) -> str:
    """Return "train", "dev" or "test" for a top-level module.

    A hash of the name decides, so the answer is the same under every Python version.
    """
    share = int.from_bytes(hashlib.sha256(top_level.encode()).digest()[:8], "big") / 2**64 * 100
    if share < test_percent:
        return "test"
    return "dev" if share < test_percent + dev_percent else "train"


def parameters(signature: str) -> list[str]:
    """Return the parameter names of a shown signature, which may be cut or in the old style "(a[, b])"."""
    if "[," in signature:
        signature = signature.replace("[", "").replace("]", "")
    depth, parts, start = 0, [], 1
    for place, letter in enumerate(signature):
        depth += letter in "([{"
        depth -= letter in ")]}"
        if (letter == "," and depth == 1) or depth == 0:
            parts.append(signature[start:place])
            start = place + 1
    names = [re.match(r"\s*\[?\**([A-Za-z_]\w*)", part) for part in parts]
    return [found[1] for found in names if found]
