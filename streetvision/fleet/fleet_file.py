"""The settings file of a fleet, TOML: what all miners share, and a table for each with what differs.

    [fleet]                       # where the fleet keeps its state and shows its page
    [shared]                      # any setting of a miner, by its name
    wallet.name = "cold"
    [miners.hot1]                 # one miner; its hotkey is `hot1` unless it says otherwise
    axon.port = 8091

A miner's settings are defaults < [shared] < its own table. Secrets may stay in the environment; nothing else is read
from there, since every miner would get it.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streetvision.base.paths import expanded
from streetvision.control.client import SOCKET_NAME
from streetvision.errors import ConfigError, reason
from streetvision.fleet.conflicts import refuse_conflicts
from streetvision.fleet.member import Member
from streetvision.net.unix_socket import PATH_LIMIT
from streetvision.settings.fields import FROM_FILE, SETTINGS, setting, settings_with
from streetvision.settings.parsing import integer, parse_address, parse_hosts, parse_path
from streetvision.settings.sources import ENVIRONMENT, read_variables
from streetvision.settings.upkeep import METRICS_PORT

FILE_VARIABLE = "FLEET_FILE"
FILE_NAME = "fleet.toml"
FOLDER = Path("~/.streetvision/fleet").expanduser()
LONGEST_FILE = 1 << 20
"""Bytes of a fleet's file that is read."""
MOST_MINERS = 256
"""A subnet has no more UIDs."""
TABLES = ("fleet", "shared", "miners")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_SECRETS = {name for item in SETTINGS if item.is_secret for name in item.env}
_SECRETS |= {name + FROM_FILE for name in _SECRETS}
_NAMES = [item.name for item in SETTINGS]


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A fleet's settings, checked."""

    file: Path
    members: tuple[Member, ...]
    """In the order of the file; at least one."""
    state_dir: Path = FOLDER
    """Holds the fleet's lock and socket, and a state folder for each miner that names no other."""
    port: int = METRICS_PORT
    """Of page and metrics; 0: none."""
    address: str = "127.0.0.1"
    hosts: str = ""
    """Host names, separated by commas, under which the port answers."""

    def member(self, name: str) -> Member:
        """The miner of that name; ConfigError for an unknown one."""
        found = next((member for member in self.members if member.name == name), None)
        if found is None:
            names = [member.name for member in self.members]
            raise ConfigError(f"{self.file} has no miner {name!r}{_meant(name, names)}; it has {', '.join(names)}")
        return found


_FLEET: Mapping[str, Callable[[str], Any]] = {
    "state_dir": parse_path,
    "port": integer(0, 65535),
    "address": parse_address,
    "hosts": parse_hosts,
}
"""Readers of the table [fleet]; what is left out keeps the default of Fleet."""


def find_file(named: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """The file that is named, else `$FLEET_FILE`, else `fleet.toml` in `cwd`."""
    return cwd / expanded(named or environ.get(FILE_VARIABLE) or FILE_NAME)


def load_fleet(file: Path, environ: Mapping[str, str] = os.environ) -> Fleet:
    """Read a fleet's file; ConfigError with one sentence for anything in it that cannot be."""
    tables = _read(file)
    _known(tables, TABLES, f"table of {file.name}")
    about = _table(tables, "fleet", file)
    _known(about, tuple(_FLEET), f"setting in [fleet] of {file.name}")
    options = {name: _option(name, value, file) for name, value in about.items()}
    folder = options.get("state_dir", Fleet.state_dir)
    shared = _texts(_table(tables, "shared", file), f"[shared] of {file.name}")
    secrets = {name: one.text for name, one in read_variables(_secrets(environ), ENVIRONMENT).texts.items()}
    common = _Common(file, folder, shared, secrets)
    members = tuple(_member(name, own, common) for name, own in _table(tables, "miners", file).items())
    if not 0 < len(members) <= MOST_MINERS:
        raise ConfigError(f"{file} names {len(members)} miners: give each a table, such as [miners.hot1]")
    fleet = Fleet(file=file, members=members, **options)
    _refuse_long(fleet)
    refuse_conflicts(members, fleet.address, fleet.port, file)
    return fleet


def _refuse_long(fleet: Fleet) -> None:
    """The sockets in a state folder need a short path (unix(7))."""
    folders = {"[fleet]": fleet.state_dir, **{f"[miners.{member.name}]": member.folder for member in fleet.members}}
    for where, folder in folders.items():
        if len(os.fsencode(folder / SOCKET_NAME)) > PATH_LIMIT:
            raise ConfigError(f"{folder} is too long a path for the sockets in it: name a shorter state_dir in {where}")


def ignored_variables(environ: Mapping[str, str]) -> list[str]:
    """Variables of the environment that would be a miner's settings, and are none of a fleet's."""
    names = {name for item in SETTINGS for name in item.env} - _SECRETS
    return sorted(name for name in names if environ.get(name))


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            data = opened.read(LONGEST_FILE + 1)
        if len(data) > LONGEST_FILE:
            raise ConfigError(f"{file} is too large for a fleet's settings: name another with --file")
        return tomllib.loads(data.decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no fleet file {file}: write one with `streetvision fleet init`, or name it with --file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {reason(error)}; name another with --file") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(
            f"{file} is no TOML: {reason(error)}. Texts stand in quotes; beside `model` write "
            '"model.repo" in quotes too (docs/fleet.md)'
        ) from None


def _table(tables: Mapping[str, Any], name: str, file: Path) -> dict[str, Any]:
    found = tables.get(name, {})
    if not isinstance(found, dict):
        raise ConfigError(f"{name} in {file.name} must be a table: [{name}]")
    return found


def _known(found: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for name in found:
        if name not in known:
            raise ConfigError(f"{name!r} is no {what}{_meant(name, known)}; known are {', '.join(known)}")


def _meant(name: str, known: Any) -> str:  # noqa: ANN401 - any collection of names
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _option(name: str, value: object, file: Path) -> Any:  # noqa: ANN401 - of the option's own type
    label = f"{name} in [fleet] of {file.name}"
    try:
        read = _FLEET[name](_text(value, label))
    except ValueError as error:
        raise ConfigError(f"{label}: {error}") from None
    return _whole(read, label)


def _texts(table: Mapping[str, Any], where: str, prefix: str = "") -> dict[str, str]:
    """The settings of a table by name, `axon.port` and [axon] port being the same; an empty text means unset."""
    found: dict[str, str] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        label = f"{name} in {where}"
        pairs = _texts(value, where, f"{name}.") if isinstance(value, dict) else {name: _text(value, label)}
        for inner, text in pairs.items():
            if inner in found:
                raise ConfigError(f"{inner} stands twice in {where}: remove one of them")
            found[inner] = text
    if not prefix:
        _check(found, where)
    return {name: text for name, text in found.items() if text}


def _text(value: object, label: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ConfigError(f"{label} must be a text, a number, true or false")


def _check(texts: Mapping[str, str], where: str) -> None:
    """Every name is a setting's, every text is one of its values, every path is whole."""
    for name, text in texts.items():
        if name not in _NAMES:
            near = _meant(name, _NAMES)
            raise ConfigError(f"{name} in {where} is no setting of a miner{near}; docs/settings.md lists them")
        label = f"{name} in {where}"
        if text:
            _whole(setting(name).read(text, label), label)


def _whole(value: Any, label: str) -> Any:  # noqa: ANN401 - any setting's value
    """A relative path would mean another place for each miner: they run in their own folders."""
    if isinstance(value, Path) and not value.is_absolute():
        raise ConfigError(f"{label}: write the whole path instead of {str(value)!r}")
    return value


def _secrets(environ: Mapping[str, str]) -> dict[str, str | None]:
    return {name: environ[name] for name in sorted(_SECRETS) if name in environ}


@dataclass(frozen=True, slots=True)
class _Common:
    """What all miners of a file have in common."""

    file: Path
    folder: Path
    shared: Mapping[str, str]
    secrets: Mapping[str, str]
    """Of the environment; they win, as they do for a single miner."""


def _member(name: str, own: object, common: _Common) -> Member:
    file, where = common.file, f"[miners.{name}] of {common.file.name}"
    if _NAME.fullmatch(name) is None:
        raise ConfigError(f"{name!r} in {file.name} is no name for a miner: use letters, digits, - and _")
    if not isinstance(own, dict):
        raise ConfigError(f"miners.{name} in {file.name} must be a table: [miners.{name}]")
    texts = {**_defaults(name, common.folder), **common.shared, **_texts(own, where)}
    if "axon.port" not in texts:
        raise ConfigError(f"{where} names no axon.port: give each miner a port of its own, such as axon.port = 8091")
    said = {**texts, **common.secrets}
    try:
        settings = settings_with({key: setting(key).read(text, f"{key} in {where}") for key, text in said.items()})
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return Member(name, settings, texts)


def _defaults(name: str, folder: Path) -> dict[str, str]:
    """What a miner of a fleet has where neither table says otherwise; the fleet's own port shows it."""
    return {"wallet.hotkey": name, "state_dir": str(folder / name), "metrics.port": "0", "alerts.name": name}
