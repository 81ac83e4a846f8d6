"""The declared settings, one by one: what their reader, their flags and their texts have in common."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from streetvision.errors import ConfigError
from streetvision.settings.secret import Secret
from streetvision.settings.settings import Settings

ENV_FILE_VARIABLE = "MINER_ENV"
FROM_FILE = "_FILE"
"""After the name of a secret: the path of a file that holds it."""


def setting_fields() -> tuple[Field[Any], ...]:
    """The declared settings in order; each field's metadata holds flag, env names, help and parser."""
    return fields(Settings)


def field_named(name: str) -> Field[Any]:
    """The declared setting; KeyError for an unknown one."""
    return {item.name: item for item in setting_fields()}[name]


def is_secret(item: Field[Any]) -> bool:
    """Whether a setting's value must not be shown."""
    return isinstance(item.default, Secret)


def variables() -> list[str]:
    """Every name that is read from the environment and from miner.env."""
    names = [name for item in setting_fields() for name in item.metadata["env"]]
    return names + [name + FROM_FILE for item in setting_fields() if is_secret(item) for name in item.metadata["env"]]


def show_default(item: Field[Any]) -> str:
    """A setting's default as it would be written in miner.env."""
    value = item.default
    if value is MISSING:  # every setting has one; this is for the type checker's sake
        raise TypeError(item.name)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).replace(str(Path.home()), "~")


def parse_setting(item: Field[Any], text: str, source: str) -> Any:  # noqa: ANN401 - of the field's own type
    """The value that the text stands for; ConfigError that names the source when there is none."""
    try:
        return item.metadata["parse"](text)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None
