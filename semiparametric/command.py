"""One Typer command per settings class: every field is an option under its own name, so grep can follow a setting."""

import inspect
import logging
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from semiparametric.errors import BusyError, CosupError, InputError
from semiparametric.settings import Settings

Run = Callable[[Any], None]


class ExitCode(IntEnum):
    """How a command ends, for scripts. Any other code but that of a signal is a fault of the program."""

    DONE = 0
    TO_MEND = 2  # also what Typer ends with where it cannot read the command line
    BUSY = 3
    INTERRUPTED = 130  # as the shell has it: 128 + SIGINT


def settings_command(
    app: typer.Typer,
    name: str,
    settings: type[Settings],
    *,
    arguments: tuple[str, ...] = (),
    config_argument: bool = False,
    help: str,  # noqa: A002
) -> Callable[[Run], Run]:
    """Register `run(settings)` as the command `name` of `app`.

    Args:
        app: The Typer app of the package.
        name: The command's name.
        settings: The class whose fields become options; a nested model's field `b` of `a` becomes `--a.b`.
        arguments: Fields that become positional arguments, in order.
        config_argument: Whether the YAML file is a positional argument rather than `--config`.
        help: What the command does, for `--help`.
    """

    def register(run: Run) -> Run:
        fields = dict(_leaves(settings))
        tables = {names for names, field in fields.items() if get_origin(field.annotation) is dict}

        def command(**values: Any) -> None:
            given = {names: values[_identifier(names)] for names in fields if _was_given(values[_identifier(names)])}
            with one_line_errors():
                for names in given.keys() & tables:
                    given[names] = _table(_option(names), given[names])
                run(settings.resolve(_nest(given), values["config"]))

        parameters = [_parameter(names, field, names[-1] in arguments) for names, field in fields.items()]
        parameters.sort(key=lambda parameter: arguments.index(parameter.name) if parameter.name in arguments else 99)
        parameters.insert(0, _config_parameter(config_argument))
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, help=help)(command)
        return run

    return register


class one_line_errors:  # noqa: N801 - used as a with-statement, reads as one
    """Ends the command with one clear line and its `ExitCode` when a `CosupError` comes out, or on Ctrl-C."""

    def __enter__(self) -> None:
        """Start-up logging of every command: warnings and progress on stderr."""
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        for chatty in ("httpx", "faiss.loader", "faiss", "mcp", "transformers"):
            logging.getLogger(chatty).setLevel(logging.WARNING)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, CosupError):
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(ExitCode.BUSY if isinstance(error, BusyError) else ExitCode.TO_MEND) from error
        if isinstance(error, KeyboardInterrupt):
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from error


def _leaves(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], FieldInfo]]:
    leaves: list[tuple[tuple[str, ...], FieldInfo]] = []
    for name, field in model.model_fields.items():
        nested = _model_of(field.annotation)
        leaves += _leaves(nested, (*prefix, name)) if nested else [((*prefix, name), field)]
    return leaves


def _model_of(annotation: Any) -> type[BaseModel] | None:
    candidates = [annotation, *get_args(annotation)] if get_origin(annotation) is not list else [annotation]
    return next((part for part in candidates if inspect.isclass(part) and issubclass(part, BaseModel)), None)


def _parameter(names: tuple[str, ...], field: FieldInfo, positional: bool) -> inspect.Parameter:
    text = field.description or ""
    if positional:
        info = typer.Argument(help=text, metavar=names[-1].upper())
        default = inspect.Parameter.empty if field.is_required() else None
        return _keyword(_identifier(names), Annotated[_option_type(field.annotation), info], default)
    option = _option(names)
    flags = [option] if not _is_flag(field.annotation) else [f"{option}/--no-{option[2:]}"]
    shown = "required" if field.is_required() else f"default: {_shown(field)}"
    info = typer.Option(*flags, help=f"{text} ({shown})")
    return _keyword(_identifier(names), Annotated[_option_type(field.annotation), info], None)


def _config_parameter(positional: bool) -> inspect.Parameter:
    text = "YAML file with settings; options and COSUP_* variables win over it."
    if positional:
        return _keyword("config", Annotated[Path, typer.Argument(help=text, metavar="CONFIG")], inspect.Parameter.empty)
    return _keyword("config", Annotated[Path | None, typer.Option("--config", help=text)], None)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _option(names: tuple[str, ...]) -> str:
    """The option of a field; a field that would be a keyword of Python ends in `_`, its option does not."""
    return "--" + ".".join(names).rstrip("_").replace("_", "-")


def _option_type(annotation: Any) -> Any:
    """The type that Typer shows and parses; pydantic validates the value again, with the field's own rules."""
    if get_origin(annotation) in (list, tuple, dict):
        return list[str] | None
    if get_origin(annotation) is Literal:
        return annotation | None
    parts = [part for part in get_args(annotation) if part is not type(None)] or [annotation]
    simple = parts[0] if len(parts) == 1 and parts[0] in (int, float, bool, str, Path) else str
    return simple | None


def _table(option: str, entries: list[str]) -> dict[str, str]:
    """`name=value` entries of a repeated option as the mapping that its field holds."""
    wrong = [entry for entry in entries if "=" not in entry]
    if wrong:
        raise InputError(f"{wrong[0]!r} is not name=value", where=option, remedy=f"Write {option} name=value")
    return dict(entry.split("=", 1) for entry in entries)


def _is_flag(annotation: Any) -> bool:
    return annotation is bool or bool in get_args(annotation)


def _shown(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _identifier(names: tuple[str, ...]) -> str:
    return "__".join(names)


def _was_given(value: Any) -> bool:
    return value is not None and value != [] and value != ()


def _nest(values: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for names, value in values.items():
        place = nested
        for name in names[:-1]:
            place = place.setdefault(name, {})
        place[names[-1]] = value
    return nested
