"""The name under which users know what a module documents: `asyncio.Queue`, not `asyncio.queues.Queue`."""

from collections.abc import Iterator, Mapping

from index_builder.python_docs.modules import IMPLEMENTATION_MODULES, PUBLIC_MODULE_NAMES
from index_builder.python_docs.sources import ImportedName, ModuleDocs


def is_public(name: str) -> bool:
    """Tell whether no component of a dotted name starts with an underscore."""
    return not any(part.startswith("_") for part in name.split("."))


def shown_module(name: str) -> str:
    """Return the name under which a module is used."""
    return PUBLIC_MODULE_NAMES.get(name, name)


def _twin(module: str) -> str:
    """Return the name of the private module that stands behind a public one by convention: _collections_abc."""
    return "_" + module.replace(".", "_")


class PublicNames:
    """Finds for every top-level class and function the one module that offers it to users."""

    def __init__(self, modules: Mapping[str, ModuleDocs]) -> None:
        self._modules = modules
        self._offers: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for module in sorted(modules):
            if is_public(module) and module not in IMPLEMENTATION_MODULES:
                for bound, home in self._bindings(module, frozenset()).items():
                    if home != (module, bound):
                        self._offers.setdefault(home, []).append((module, bound))

    def home(self, module: str, name: str) -> tuple[str, str]:
        """Return module and name under which `name`, defined in `module`, is known; its own where nobody offers it."""
        hidden = not is_public(module) or module in IMPLEMENTATION_MODULES
        offers = [offer for offer in self._offers.get((module, name), []) if self._certain(module, offer, hidden)]
        if not offers:
            return module, name
        best = min(offers, key=lambda offer: self._rank(module, offer))
        # What _asyncio gives to asyncio.events is known as part of asyncio; each step leaves a module for its parent.
        return self.home(*best) if hidden else best

    def _certain(self, module: str, offer: tuple[str, str], hidden: bool) -> bool:
        offering, bound = offer
        if not is_public(bound):
            return False
        exports = self._modules[offering].exports
        if exports is not None and bound not in exports:
            return False
        if module.startswith(f"{offering}."):
            return True
        return hidden and (exports is not None or module in IMPLEMENTATION_MODULES or module == _twin(offering))

    def _rank(self, module: str, offer: tuple[str, str]) -> tuple[bool, bool, int, str, str]:
        offering, bound = offer
        return (not module.startswith(f"{offering}."), module != _twin(offering), offering.count("."), offering, bound)

    def _bindings(self, module: str, seen: frozenset[str]) -> dict[str, tuple[str, str]]:
        """Map each name that a module binds by `from ... import` to the module and name of its definition."""
        found: dict[str, tuple[str, str]] = {}
        for imported in self._modules[module].imported:
            for bound, name in self._names(imported, seen | {module}):
                found.setdefault(bound, self._definition(imported.module, name, seen | {module}))
        return found

    def _names(self, imported: ImportedName, seen: frozenset[str]) -> Iterator[tuple[str, str]]:
        """Yield (bound name, name in the imported module)."""
        if imported.name != "*":
            yield imported.bound, imported.name
        elif imported.module in self._modules and imported.module not in seen:
            source = self._modules[imported.module]
            own = {path for path in source.documented if path and "." not in path}
            names = source.exports
            if names is None:
                names = frozenset(name for name in own | set(self._bindings(source.name, seen)) if is_public(name))
            yield from ((name, name) for name in sorted(names))

    def _definition(self, module: str, name: str, seen: frozenset[str]) -> tuple[str, str]:
        """Follow re-exports from `module.name` to the module that defines it."""
        docs = self._modules.get(module)
        if docs is None or name in docs.documented or module in seen:
            return module, name
        for imported in docs.imported:
            if imported.bound == name or imported.name == "*":
                for bound, original in self._names(imported, seen | {module}):
                    if bound == name:
                        return self._definition(imported.module, original, seen | {module})
        return module, name
