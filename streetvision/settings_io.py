"""Where settings come from (flags, environment, miner.env) and the texts that are generated from them."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, NoReturn

from dotenv import dotenv_values

from streetvision.config import Settings
from streetvision.errors import ConfigError
from streetvision.secret import Secret
from streetvision.setting_types import parse_bool
from streetvision.subnet import SUBNET

ENV_FILE_VARIABLE = "MINER_ENV"
FROM_FILE = "_FILE"
"""After the name of a secret: the path of a file that holds it."""


def setting_fields() -> tuple[Field[Any], ...]:
    """The declared settings in order; each field's metadata holds flag, env names, help and parser."""
    return fields(Settings)


def is_secret(item: Field[Any]) -> bool:
    """Whether a setting's value must not be shown."""
    return isinstance(item.default, Secret)


def without_secrets(text: str) -> str:
    """The text, addresses and tokens in it shortened: a misspelt flag may carry one."""
    text = re.sub(r"(--[\w.-]*(?:password|secret|token)[\w.-]*)[ =].*", r"\1 ...", text, flags=re.DOTALL)
    return re.sub(r"(https?://|\b\d{3,20}:)[^\s'\"]+", r"\1...", text)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{without_secrets(message)}; `python neurons/miner.py --help` lists the flags")


def build_parser(*, epilog: str | None = None) -> argparse.ArgumentParser:
    """Flags for every setting; values stay text so that all three sources are parsed alike."""
    parser = _Parser(
        prog="neurons/miner.py",
        description=f"Mine Bittensor subnet {SUBNET.netuid} ({SUBNET.name}).",
        epilog=epilog
        or "Every flag can also be set in the environment or in miner.env; flags win, then the environment.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--env_file", metavar="FILE", help=f"Settings file; default ${ENV_FILE_VARIABLE} or ./miner.env."
    )
    for item in setting_fields():
        switch = item.metadata["parse"] is parse_bool
        parser.add_argument(
            item.metadata["flag"],
            dest=item.name,
            default=None,
            nargs="?" if switch else None,
            const="true" if switch else None,
            metavar="BOOL" if switch else item.name.split("_")[-1].upper(),
            help=_flag_help(item),
        )
    return parser


def _flag_help(item: Field[Any]) -> str:
    text = f"{item.metadata['help']} [{item.metadata['env'][0]}; default: {show_default(item) or 'empty'}]"
    return text.replace("%", "%%")


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


def _parse(item: Field[Any], text: str, source: str) -> Any:  # noqa: ANN401 - of the field's own type
    try:
        return item.metadata["parse"](text)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None


def _from_mapping(values: Mapping[str, str | None], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in setting_fields():
        for name in item.metadata["env"]:
            text = values.get(name) or (_from_file(values.get(name + FROM_FILE), name) if is_secret(item) else None)
            if text:  # an empty value means unset, as in shell scripts
                found[item.name] = _parse(item, text, f"{name} in {where}")
                break
    return found


def _from_file(path: str | None, name: str) -> str | None:
    """A secret that lies in a file of its own, as container platforms hand them out."""
    if not path:
        return None
    try:
        return Path(path).expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise ConfigError(f"{name}{FROM_FILE}: cannot read {path}: {why}") from None


def flags_of(settings: Settings, *, without: Sequence[str] = ()) -> list[str]:
    """The flags that give these settings but defaults, secrets and the named fields; values are not shell-quoted."""
    flags = []
    for item in setting_fields():
        value = getattr(settings, item.name)
        if value != item.default and item.name not in without and not is_secret(item):
            flags += [item.metadata["flag"], str(value).lower() if isinstance(value, bool) else str(value)]
    return flags


def unknown_names(values: Mapping[str, str | None]) -> list[str]:
    """One sentence for each name in miner.env that is no setting, with the nearest setting where there is one."""
    known = [name for item in setting_fields() for name in item.metadata["env"]]
    known += [name + FROM_FILE for item in setting_fields() if is_secret(item) for name in item.metadata["env"]]
    sentences = []
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            sentences.append(f"{name} is not a setting" + (f" (did you mean {near[0]}?)" if near else "") + "; ignored")
    return sentences


def load_settings(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    cwd: Path,
    warn: Callable[[str], None],
) -> Settings:
    """Settings from flags, environment and miner.env; ConfigError with one sentence when a value is wrong."""
    arguments = vars(build_parser().parse_args(list(argv)))
    named = arguments.pop("env_file") or environ.get(ENV_FILE_VARIABLE)
    path = Path(named).expanduser() if named else cwd / "miner.env"
    if named and not path.is_file():
        raise ConfigError(f"there is no settings file {path}: create it from miner.env.example or drop --env_file")
    values = _read_env_file(path) if path.is_file() else {}
    for sentence in unknown_names(values):
        warn(f"{path.name}: {sentence}")
    by_name = {item.name: item for item in setting_fields()}
    flags = {
        name: _parse(by_name[name], text, by_name[name].metadata["flag"])
        for name, text in arguments.items()
        if text  # as everywhere, an empty value means unset
    }
    return Settings(**{**_from_mapping(values, path.name), **_from_mapping(environ, "the environment"), **flags})


def _read_env_file(path: Path) -> dict[str, str | None]:
    try:
        return dict(dotenv_values(path, interpolate=False))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None


def render_env_example() -> str:
    """The text of miner.env.example: every setting with its help and default."""
    lines = [
        "# Settings of the miner. Copy to miner.env and uncomment what you change.",
        "# Flags beat the environment, the environment beats this file.",
        "# The only secrets are those of alerts: keep this file to yourself (chmod 600), or each of them in its own.",
    ]
    for item in setting_fields():
        lines += ["", f"# {item.metadata['help']}", f"# Flag: {item.metadata['flag']}"]
        if len(item.metadata["env"]) > 1:
            lines.append(f"# Also read: {', '.join(item.metadata['env'][1:])}")
        if is_secret(item):
            lines.append(f"# From a file: {item.metadata['env'][0]}{FROM_FILE}")
        lines.append(f"#{item.metadata['env'][0]}={show_default(item)}")
    return "\n".join(lines) + "\n"


def render_settings_table() -> str:
    """The settings as a Markdown table, for docs/settings.md."""
    lines = ["| flag | miner.env / environment | default | what it does |", "|---|---|---|---|"]
    for item in setting_fields():
        written = (*item.metadata["env"], *([item.metadata["env"][0] + FROM_FILE] if is_secret(item) else []))
        names = ", ".join(f"`{name}`" for name in written)
        default = show_default(item)
        lines.append(
            f"| `{item.metadata['flag']}` | {names} | {f'`{default}`' if default else ''} | {item.metadata['help']} |"
        )
    return "\n".join(lines) + "\n"
