"""Writing miner.env: only what differs from the defaults, readable by its owner alone, never half a file."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dotenv import dotenv_values

from streetvision.config import Settings
from streetvision.errors import ConfigError, OperatorError
from streetvision.models.disk import write_atomically
from streetvision.secret import Secret
from streetvision.settings_io import setting_fields, show_default

HEADER = (
    "# Settings of the miner, written by `streetvision init`; miner.env.example and docs/settings.md explain them all."
)
_PLAIN = re.compile(r"[\w./:@%+,=~-]*", re.ASCII)

Answers = Mapping[str, str]
"""Text of each setting by its field's name; an empty one means the default."""


def field_named(name: str) -> Field[Any]:
    """The declared setting; KeyError for an unknown one."""
    return {item.name: item for item in setting_fields()}[name]


def parsed(name: str, text: str) -> Any:  # noqa: ANN401 - of the field's own type
    """The value that the text stands for; ConfigError with the setting's flag when there is none."""
    item = field_named(name)
    try:
        return item.metadata["parse"](text)
    except ValueError as error:
        raise ConfigError(f"{item.metadata['flag']}: {error}") from None


def settings_of(answers: Answers) -> Settings:
    """The settings that these answers give; ConfigError when one is wrong or two contradict each other."""
    return Settings(**{name: parsed(name, text) for name, text in answers.items() if text})


def is_secret(name: str) -> bool:
    """Whether the setting is kept from being shown."""
    return isinstance(field_named(name).default, Secret)


def render(answers: Answers, others: Answers = MappingProxyType({}), *, hide: bool = False) -> str:
    """The file's text, in the order in which settings are declared; `hide` replaces secrets, for showing it.

    `others` are variables of a former file that are no settings, such as HF_TOKEN; they may be secrets too.
    """
    lines = [HEADER]
    for item in setting_fields():
        text = answers.get(item.name, "")
        if text and text != show_default(item):
            shown = "(hidden)" if hide and is_secret(item.name) else quoted(text)
            lines.append(f"{item.metadata['env'][0]}={shown}")
    lines += [f"{name}={'(kept)' if hide else quoted(text)}" for name, text in others.items()]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A value as miner.env's parser reads it back; ConfigError for what no quotes can carry."""
    value = text if _PLAIN.fullmatch(text) else "'{}'".format(text.replace("\\", "\\\\").replace("'", "\\'"))
    back = dotenv_values(stream=io.StringIO(f"X={value}\n"), interpolate=False)
    if not text.isprintable() or dict(back) != {"X": text}:
        raise ConfigError("a value with control characters or mixed quotes cannot be written into a settings file")
    return value


def answers_in(file: Path) -> dict[str, str]:
    """What a settings file says, by field name; OperatorError when it cannot be read."""
    values = _values(file)
    found = {}
    for item in setting_fields():
        text = next((values[name] for name in item.metadata["env"] if values.get(name)), None)
        if text:
            found[item.name] = text
    return found


def others_in(file: Path) -> dict[str, str]:
    """What else the file says, by variable: names of files that hold secrets, and what other programs read."""
    settings = {name for item in setting_fields() for name in item.metadata["env"]}
    return {name: text for name, text in _values(file).items() if text and name not in settings}


def _values(file: Path) -> dict[str, str | None]:
    try:
        return dotenv_values(file, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"cannot read {file} ({error}): move it away, or name another with --env_file") from error


def write(file: Path, text: str) -> None:
    """Replace the file at once, mode 0600; OperatorError when it cannot be written. A link stays one."""
    file = file.resolve()
    try:
        write_atomically(file, text)
    except OSError as error:
        raise OperatorError(f"cannot write {file} ({error.strerror}): name another file with --env_file") from error
