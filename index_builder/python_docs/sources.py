"""Docstrings, signatures and imported names of one Python source, read with ast."""

import ast
import inspect
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from index_builder.python_docs.modules import ModuleFile

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

LONGEST_DEFAULT = 24  # characters; a longer default value is shown as ...


@dataclass(frozen=True)
class Documented:
    """Something with a docstring. `path` is its dotted name inside its module, empty for the module itself."""

    path: str
    kind: str  # module, class, function, method, property
    signature: str  # "(a, b=1)", or empty where calling it means nothing or is not documented
    docstring: str
    source: str


@dataclass(frozen=True)
class ImportedName:
    """`from module import name as bound`; name "*" stands for everything that module exports."""

    module: str
    name: str
    bound: str


@dataclass
class ModuleDocs:
    """What one module documents and which names of others it offers."""

    name: str
    documented: dict[str, Documented] = field(default_factory=dict)
    imported: list[ImportedName] = field(default_factory=list)
    exports: frozenset[str] | None = None  # the literal __all__; None where it is absent or computed
    is_package: bool = False


def read_module(file: ModuleFile) -> ModuleDocs:
    """Parse one source file.

    Raises SyntaxError (also for bytes that are not in the declared encoding) or ValueError when it is not Python.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a wrong escape in somebody's docstring is not ours to report
        tree = ast.parse(file.path.read_bytes())
    docs = ModuleDocs(file.name, is_package=file.is_package)
    _add(docs, "", "module", "", tree, file.shown_path)
    _read_definitions(docs, tree.body, "", file.shown_path)
    statements = list(_flat(tree.body))
    docs.imported = [name for node in statements if isinstance(node, ast.ImportFrom) for name in _imports(node, file)]
    docs.exports = _literal_all(statements)
    return docs


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a body, those under if, try and with included: definitions hide there."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.With | ast.Try):
            yield from _flat(node.body)
        if isinstance(node, ast.If | ast.Try):
            yield from _flat(node.orelse)
        if isinstance(node, ast.Try):
            for handler in node.handlers:
                yield from _flat(handler.body)


def _read_definitions(docs: ModuleDocs, body: list[ast.stmt], prefix: str, source: str) -> None:
    for node in _flat(body):
        if isinstance(node, ast.ClassDef):
            path = prefix + node.name
            _add(docs, path, "class", _class_signature(node), node, f"{source}:{node.lineno}")
            _read_definitions(docs, node.body, f"{path}.", source)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            kind, signature = _callable_kind(node, in_class=bool(prefix))
            _add(docs, prefix + node.name, kind, signature, node, f"{source}:{node.lineno}")


def _add(docs: ModuleDocs, path: str, kind: str, signature: str, node: ast.Module | Definition, source: str) -> None:
    docstring = inspect.cleandoc(ast.get_docstring(node, clean=False) or "").strip()
    if docstring and path not in docs.documented:  # the first of several versions (platforms, setters) stands for all
        docs.documented[path] = Documented(path, kind, signature, docstring, source)


def _callable_kind(node: ast.FunctionDef | ast.AsyncFunctionDef, in_class: bool) -> tuple[str, str]:
    if not in_class:
        return "function", _signature(node.args, drop_first=False)
    decorators = {ast.unparse(decorator).rsplit(".", 1)[-1] for decorator in node.decorator_list}
    if decorators & {"property", "cached_property", "abstractproperty", "setter", "getter", "DynamicClassAttribute"}:
        return "property", ""
    return "method", _signature(node.args, drop_first="staticmethod" not in decorators)


def _class_signature(node: ast.ClassDef) -> str:
    for name in ("__init__", "__new__"):
        for child in _flat(node.body):
            if isinstance(child, ast.FunctionDef) and child.name == name:
                return _signature(child.args, drop_first=True)
    return ""


def _signature(arguments: ast.arguments, drop_first: bool) -> str:
    """Write the parameters with their defaults and without annotations, which would drown the names."""
    positional = arguments.posonlyargs + arguments.args
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    parts = [_parameter(arg, default) for arg, default in zip(positional, defaults, strict=True)]
    if arguments.posonlyargs:
        parts.insert(len(arguments.posonlyargs), "/")
    if drop_first and parts:
        del parts[0]
        if parts[:1] == ["/"]:
            del parts[0]
    if arguments.vararg:
        parts.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        parts.append("*")
    parts += [_parameter(arg, value) for arg, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if arguments.kwarg:
        parts.append(f"**{arguments.kwarg.arg}")
    return f"({', '.join(parts)})"


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    if default is None:
        return argument.arg
    value = ast.unparse(default)
    return f"{argument.arg}={value if len(value) <= LONGEST_DEFAULT else '...'}"


def _imports(node: ast.ImportFrom, file: ModuleFile) -> Iterator[ImportedName]:
    module = node.module or ""
    if node.level:
        parts = file.name.split(".")
        kept = len(parts) - node.level + (1 if file.is_package else 0)
        if kept <= 0:
            return
        module = ".".join([*parts[:kept], *([node.module] if node.module else [])])
    for alias in node.names:
        yield ImportedName(module, alias.name, alias.asname or alias.name)


def _literal_all(statements: list[ast.stmt]) -> frozenset[str] | None:
    names: set[str] = set()
    found = False
    for node in statements:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
                literal = _literal_names(node.value)
                if literal is None:
                    return None
                names |= literal
                found = True
        elif isinstance(node, ast.Expr) and ast.unparse(node).startswith("__all__."):
            return None
    return frozenset(names) if found else None


def _literal_names(node: ast.expr | None) -> set[str] | None:
    if not isinstance(node, ast.List | ast.Tuple):
        return None
    values = [item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return set(values) if len(values) == len(node.elts) else None
