"""Where settings come from: command line, then environment (`COSUP_*`), then a YAML file, then the default."""

from pathlib import Path
from typing import Any, ClassVar, Self

import yaml
from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from semiparametric.errors import InputError


class Settings(BaseSettings):
    """Base of each package's settings class. Every field says in its description what it is and its unit."""

    model_config = SettingsConfigDict(
        env_prefix="COSUP_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )
    _yaml_values: ClassVar[dict[str, Any]] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order is the precedence; no `.env` file is read behind the user's back."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, cls._yaml_values)

    @classmethod
    def resolve(cls, given: dict[str, Any], yaml_file: Path | None = None) -> Self:
        """Settings from values given on the command line (nested as the class is) and an optional YAML file.

        Raises:
            InputError: Names every wrong setting at once.
        """
        bound = type(cls.__name__, (cls,), {"_yaml_values": _read_yaml(yaml_file), "__module__": cls.__module__})
        try:
            return bound(**given)  # type: ignore[no-any-return]
        except ValidationError as error:
            raise InputError(_all_problems(error), where=str(yaml_file) if yaml_file else "settings") from error
        except SettingsError as error:  # the environment only: a list or a nested class that is not JSON
            raise InputError(str(error), where="environment", remedy='Write it as JSON, as in ["a", "b"]') from error


def _read_yaml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot be read as YAML ({error})", where=str(path)) from error
    if values is None:  # an empty file, or only comments: all defaults
        return {}
    rule = "a settings file holds `name: value` lines"
    if not isinstance(values, dict):
        raise InputError(rule, where=str(path))
    for name in values:
        if not isinstance(name, str):
            raise InputError(f"the name {name!r} is not text; {rule}", where=str(path))
    return values


def _all_problems(error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False):
        if not problem["loc"]:  # about several settings: its input would be all of them, secrets too
            problems.append(problem["msg"].removeprefix("Value error, "))
            continue
        name = ".".join(str(part) for part in problem["loc"])
        value = "" if problem["type"] in {"missing", "extra_forbidden"} else f" (got {problem['input']!r})"
        problems.append(f"{name}: {problem['msg']}{value}")
    return "; ".join(problems)
