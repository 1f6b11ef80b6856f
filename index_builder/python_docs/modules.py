"""Where the modules of the standard library and of installed packages lie. Nothing is imported here."""

import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from semiparametric.errors import InputError

# Not documentation that a user of Python looks up:
SKIPPED_MODULES = frozenset(
    {
        "test",  # the test suite of Python itself
        "idlelib",  # an application
        "turtledemo",  # demonstrations
        "lib2to3",  # deprecated and gone from 3.13
        "distutils",  # deprecated and gone from 3.12
        "ensurepip",  # carries bundled wheels of pip
        "pydoc_data",  # the text of `help()`, not code
        "encodings",  # about a hundred generated character tables with one and the same docstring
        "antigravity",  # jokes
        "this",
        "ntpath",  # the Windows twin of posixpath, with the same docstrings
        "nturl2path",
    }
)
SKIPPED_COMPONENTS = frozenset({"test", "tests", "testing_data", "conftest", "_vendor", "__pycache__"})

# Public by their spelling, yet only the home of names that another module offers.
IMPLEMENTATION_MODULES = frozenset(
    {"posix", "nt", "genericpath", "pyexpat", "sre_compile", "sre_constants", "sre_parse"}
)

# The name under which a module is used, where it differs from that of its file.
PUBLIC_MODULE_NAMES = {"posixpath": "os.path", "_collections_abc": "collections.abc"}


@dataclass(frozen=True)
class ModuleFile:
    """A module with a Python source: dotted name, file, and the relative path shown to readers."""

    name: str
    path: Path
    shown_path: str
    is_package: bool


def standard_modules() -> tuple[list[ModuleFile], list[str]]:
    """Return the sources of the standard library and the names of its compiled modules, both sorted."""
    library = Path(sysconfig.get_paths()["stdlib"])
    sources: list[ModuleFile] = []
    compiled: list[str] = []
    for name in sorted(sys.stdlib_module_names - SKIPPED_MODULES):
        if (library / name / "__init__.py").is_file() or (library / f"{name}.py").is_file():
            sources += _top_level_files(library, name, shown_root="Lib")
        elif importlib.util.find_spec(name) is not None:  # None: a module of another platform
            compiled.append(name)
    return sources, compiled


def package_modules(package: str) -> list[ModuleFile]:
    """Return the sources of one installed package.

    Raises InputError when it is not installed or has no Python sources.
    """
    files = [file for name in _top_level_names(package) for file in _installed_files(name)]
    if not files:
        raise InputError(
            f"package '{package}' has no Python sources",
            remedy="Name a package that is written in Python, not only compiled",
        )
    return sorted(files, key=lambda file: file.name)


def _installed_files(name: str) -> list[ModuleFile]:
    spec = importlib.util.find_spec(name)
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        roots = [Path(location) for location in spec.submodule_search_locations]
        return [file for root in roots for file in _package_files(root, name, root.parent, "")]
    return _top_level_files(Path(spec.origin).parent, name, shown_root="") if spec.origin else []


def _top_level_names(package: str) -> list[str]:
    if package.isidentifier() and importlib.util.find_spec(package) is not None:
        return [package]
    try:
        distribution = importlib.metadata.distribution(package)
    except (importlib.metadata.PackageNotFoundError, ValueError) as error:
        raise InputError(
            f"package '{package}' is not installed in this environment",
            remedy="Install it here, or check the spelling (a top-level name such as fastapi, without dots)",
        ) from error
    heads = {path.parts[0] for path in distribution.files or [] if path.suffix == ".py" and path.parts[0] != ".."}
    return sorted(name for name in (head.removesuffix(".py") for head in heads) if name.isidentifier())


def _top_level_files(folder: Path, name: str, shown_root: str) -> list[ModuleFile]:
    if (folder / name).is_dir():
        return list(_package_files(folder / name, name, folder, shown_root))
    path = folder / f"{name}.py"
    return [ModuleFile(name, path, _shown(path, folder, shown_root), is_package=False)] if path.is_file() else []


def _package_files(folder: Path, name: str, root: Path, shown_root: str) -> Iterator[ModuleFile]:
    for path in sorted(folder.iterdir()):
        if path.stem in SKIPPED_COMPONENTS or not path.stem.isidentifier():
            continue
        if path.is_dir() and (path / "__init__.py").is_file():
            yield from _package_files(path, f"{name}.{path.name}", root, shown_root)
        elif path.suffix == ".py":
            is_package = path.stem == "__init__"
            module = name if is_package else f"{name}.{path.stem}"
            yield ModuleFile(module, path, _shown(path, root, shown_root), is_package)


def _shown(path: Path, root: Path, shown_root: str) -> str:
    return (Path(shown_root) / path.relative_to(root)).as_posix()
