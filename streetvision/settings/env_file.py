"""Writing miner.env: only what differs from the defaults, readable by its owner alone, never half a file."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dotenv import dotenv_values

from streetvision.base.disk import write_atomically
from streetvision.errors import ConfigError, OperatorError, reason
from streetvision.settings.fields import SETTINGS, setting, settings_with
from streetvision.settings.loading import read_env_file
from streetvision.settings.official import BY_VARIABLE
from streetvision.settings.settings import Settings
from streetvision.settings.sources import read_variables, unknown_names

HEADER = (
    "# Settings of the miner, written by `streetvision init`; miner.env.example and docs/settings.md explain them all."
)
_PLAIN = re.compile(r"[\w./:@%+,=~-]*", re.ASCII)

Answers = Mapping[str, str]
"""Text of each setting by its name; an empty one means the default."""


def parsed(name: str, text: str) -> Any:  # noqa: ANN401 - of the setting's own type
    """The value that the text stands for; ConfigError with the setting's flag when there is none."""
    item = setting(name)
    return item.read(text, item.flag)


def settings_of(answers: Answers) -> Settings:
    """The settings that these answers give; ConfigError when one is wrong or two contradict each other."""
    return settings_with({name: parsed(name, text) for name, text in answers.items() if text})


def render(answers: Answers, others: Answers = MappingProxyType({}), *, hide: bool = False) -> str:
    """The file's text, in the order in which settings are declared; `hide` replaces secrets, for showing it.

    `others` are variables of a former file that are no settings, such as HF_TOKEN; they may be secrets too.
    """
    lines = [HEADER]
    for item in SETTINGS:
        text = answers.get(item.name, "")
        if text and text != item.default_text:
            shown = "(hidden)" if hide and item.is_secret else quoted(text)
            lines.append(f"{item.env[0]}={shown}")
    lines += [f"{name}={'(kept)' if hide else quoted(text)}" for name, text in others.items()]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A value as miner.env's parser reads it back; ConfigError for what no quotes can carry."""
    value = text if _PLAIN.fullmatch(text) else "'{}'".format(text.replace("\\", "\\\\").replace("'", "\\'"))
    back = dotenv_values(stream=io.StringIO(f"X={value}\n"), interpolate=False)
    if not text.isprintable() or dict(back) != {"X": text}:
        raise ConfigError("a value with control characters or mixed quotes cannot be written into a settings file")
    return value


@dataclass(frozen=True)
class Former:
    """What a settings file says."""

    answers: dict[str, str]
    """By setting; official names are translated."""
    others: dict[str, str]
    """What else it says, by variable: names of files that hold secrets, and what other programs read."""
    notes: tuple[str, ...]
    """A sentence for each name that was translated or is dropped."""


def read_former(file: Path) -> Former:
    """A settings file of ours or of the official miner; ConfigError when it cannot be read."""
    values = {name: text for name, text in read_env_file(file).items() if text}
    names = {name for item in SETTINGS for name in item.env} | set(BY_VARIABLE)
    source = read_variables({name: text for name, text in values.items() if name in names}, file.name)
    meant = [one for one in unknown_names(values, file.name) if one.whom]
    others = {name: text for name, text in values.items() if name not in names | {one.name for one in meant}}
    answers = {name: said.text for name, said in source.texts.items()}
    return Former(answers, others, (*source.warnings, *source.refusals, *(one.sentence for one in meant)))


def write(file: Path, text: str) -> None:
    """Replace the file at once, mode 0600; OperatorError when it cannot be written. A link stays one."""
    file = file.resolve()
    try:
        write_atomically(file, text)
    except OSError as error:
        raise OperatorError(f"cannot write {file} ({reason(error)}): name another file with --env_file") from error
