"""Which names a description could mean: a question may be asked only where exactly one is left."""

from collections.abc import Sequence

from training.examples.entries import Entry
from training.examples.wording import content_words

FEWEST_WORDS = 3  # content words below which a description is too vague without naming a module or class


class Descriptions:
    """The content words of everything the summaries say, searchable by containment."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._holders: dict[str, set[int]] = {}
        for number, entry in enumerate(entries):
            if entry.summary:
                for word in content_words(entry.summary.sentence):
                    self._holders.setdefault(word, set()).add(number)

    def scopes(self, entry: Entry, description: str) -> list[str]:
        """Return the scopes in which the description fits this entry alone: "" anywhere, its module, its class.

        An empty list: it is ambiguous everywhere, do not ask.
        """
        words = set(content_words(description))
        if not words:
            return []
        fitting = set.intersection(*(self._holders.get(word, set()) for word in words))
        others = [self._entries[number] for number in fitting if self._entries[number].name != entry.name]
        scopes: list[str] = []
        if not others and len(words) >= FEWEST_WORDS:
            scopes.append("")
        if entry.kind != "module" and all(other.module != entry.module for other in others):
            scopes.append(entry.module)
        if entry.kind in {"method", "property"} and all(other.owner != entry.owner for other in others):
            scopes.append(entry.owner)
        return scopes


class ShortNames:
    """The short forms of names that mean one entry only."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._holders: dict[tuple[str, str], set[str]] = {}
        for entry in entries:
            for key in self._keys(entry):
                self._holders.setdefault(key, set()).add(entry.name)

    def names(self, entry: Entry) -> list[str]:
        """Return the ways to write an entry's name without doubt: qualified, and shorter where that is unique."""
        brackets = "()" if entry.kind in {"function", "method"} else ""
        found = [entry.shown] + ([entry.shown + brackets] if brackets else [])
        for scope, short in self._keys(entry):
            if self._holders[scope, short] == {entry.name} and short != entry.shown:
                place = f" in {scope}" if scope else ""
                found.append(f"{short}{brackets}{place}")
        return found

    def _keys(self, entry: Entry) -> list[tuple[str, str]]:
        """(scope, short form): `Queue.get` anywhere, `get` in its module."""
        names = entry.shown.split(".")
        keys = [("", ".".join(names[-2:]))] if entry.kind in {"method", "property"} else []
        if entry.kind != "module" and entry.module != "builtins":
            keys.append((entry.module, names[-1]))
        return keys
