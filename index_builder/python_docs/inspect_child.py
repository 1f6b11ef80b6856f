"""Run as a script with a module's name: prints its documentation as JSON. Imports the standard library alone."""

import builtins
import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterator


def rows(module: object) -> Iterator[dict[str, str]]:
    """Yield path, kind, signature and docstring of the module and of what it defines, sorted by name."""
    yield from row("", "module", "", module)
    for name, value in sorted(vars(module).items()):
        if is_alias(module, name, value):
            continue
        if inspect.isclass(value):
            yield from row(name, "class", signature(value, drop_first=False), value)
            yield from members(name, value)
        elif callable(value):
            yield from row(name, "function", signature(value, drop_first=False), value)


def is_alias(module: object, name: str, value: object) -> bool:
    """Tell whether a value has another name that says more: IOError is OSError, posix.error too."""
    own = getattr(value, "__name__", name)
    if own != name and vars(module).get(own) is value:
        return True
    return module is not builtins and vars(builtins).get(own) is value


def members(name: str, owner: type) -> Iterator[dict[str, str]]:
    """Yield the rows of a class's own methods and properties; what it inherits is documented where it is defined."""
    for member, value in sorted(vars(owner).items()):
        if inspect.isgetsetdescriptor(value) or inspect.ismemberdescriptor(value) or isinstance(value, property):
            yield from row(f"{name}.{member}", "property", "", value)
        elif callable(value) or isinstance(value, classmethod | staticmethod):
            found = getattr(owner, member, value)
            plain = inspect.ismethoddescriptor(value) and not isinstance(value, classmethod | staticmethod)
            yield from row(f"{name}.{member}", "method", signature(found, drop_first=plain), found)


def row(path: str, kind: str, shown: str, value: object) -> Iterator[dict[str, str]]:
    """Yield one row, or none where there is no docstring."""
    docstring = getattr(value, "__doc__", None)
    if isinstance(docstring, str) and docstring.strip():
        text = inspect.cleandoc(docstring).strip()
        if not shown and kind != "property":
            shown = documented_signature(path.rsplit(".", 1)[-1], text)
        yield {"path": path, "kind": kind, "signature": shown, "docstring": text}


def documented_signature(name: str, docstring: str) -> str:
    """Return the signature that the first line of a docstring gives, as in "sleep(seconds)" or "D.keys() -> ..."."""
    found = re.match(rf"(?:\w+\.)?{re.escape(name)}(\([^\n]*?\))(?:\s|$)", docstring) if name else None
    return found[1] if found else ""


def signature(value: object, drop_first: bool) -> str:
    """Return "(a, b=1)", or an empty string where a compiled object does not tell."""
    try:
        parameters = list(inspect.signature(value).parameters.values())  # type: ignore[arg-type]
    except (ValueError, TypeError, AttributeError):  # the last: a default that the module itself lacks, as in _curses
        return ""
    if drop_first and parameters and parameters[0].name in {"self", "cls", "type"}:
        parameters = parameters[1:]
    return str(inspect.Signature([one.replace(annotation=inspect.Parameter.empty) for one in parameters]))


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    json.dump(list(rows(importlib.import_module(sys.argv[1]))), sys.stdout)
