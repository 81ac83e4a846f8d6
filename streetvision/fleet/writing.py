"""Writing a fleet's file: from what its miners share and what differs, and from the settings of a single miner."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from streetvision.errors import ConfigError
from streetvision.settings.env_file import Answers
from streetvision.settings.fields import SETTINGS, setting
from streetvision.settings.upkeep import LogSettings

HEADER = """\
# Settings of a fleet, written by `streetvision fleet init`; docs/fleet.md explains them.
# Any setting of docs/settings.md may stand in [shared] or in a miner's table, which wins.
"""
OWN = ("wallet.hotkey", "axon.port", "axon.external_port", "state_dir", "alerts.name")
"""What each miner has for itself."""
TO_FLEET: Mapping[str, str] = {"metrics.port": "port", "metrics.address": "address", "metrics.hosts": "hosts"}
"""Settings of a single miner's page, and what they become in [fleet]."""
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class Draft:
    """A fleet that is to be written; all values are texts."""

    shared: Answers
    miners: Mapping[str, Answers]
    fleet: Answers = field(default_factory=dict)


def draft(shared: Answers, hotkeys: Sequence[str], former: Answers) -> Draft:
    """A miner for each hotkey; the one of `former`, a single miner's settings, keeps its port and its state folder.

    The others get the ports after the first one. Pure.
    """
    before = former.get("wallet.hotkey") or setting("wallet.hotkey").default_text or "default"
    port = int(shared.get("axon.port") or former.get("axon.port") or setting("axon.port").default_text)
    common = {name: text for name, text in {**former, **shared}.items() if name not in OWN and name not in TO_FLEET}
    common.setdefault("log.max_gib", f"{LogSettings.max_gib / len(hotkeys):.3g}")
    fleet = {TO_FLEET[name]: text for name, text in {**former, **shared}.items() if name in TO_FLEET}
    miners: dict[str, Answers] = {}
    ordered = sorted(hotkeys, key=lambda hotkey: hotkey != before) if former else hotkeys
    for place, hotkey in enumerate(ordered):
        own = {"axon.port": str(port + place)}
        if former and hotkey == before:
            own = {name: former[name] for name in OWN if name in former} | own
            own.setdefault("state_dir", setting("state_dir").default_text)
        name = table_name(hotkey)
        if name in miners:
            raise ConfigError(f"{hotkey!r} would have the same table as another hotkey: write the file by hand")
        miners[name] = {"wallet.hotkey": hotkey, **own}
    return Draft(common, miners, fleet)


def table_name(hotkey: str) -> str:
    """A hotkey's name as a table's, which knows letters, digits, - and _ alone."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", hotkey, flags=re.ASCII)[:64]


def render(found: Draft, *, hide: bool = False) -> str:
    """The file's text; `hide` replaces secrets, for showing it."""
    parts = [HEADER]
    if found.fleet:
        parts += ["[fleet]", *(f"{name} = {_value(text)}" for name, text in found.fleet.items()), ""]
    parts += ["[shared]", *_lines(found.shared, hide), ""]
    for name, own in found.miners.items():
        shown = {key: text for key, text in own.items() if (key, text) != ("wallet.hotkey", name)}
        parts += [f"[miners.{name}]", *_lines(shown, hide), ""]
    return "\n".join(parts).rstrip("\n") + "\n"


def _lines(texts: Answers, hide: bool) -> Iterator[str]:
    for item in SETTINGS:
        if text := texts.get(item.name, ""):
            yield f"{_key(item.name, texts)} = {_value('(hidden)' if hide and item.is_secret else text)}"


def _key(name: str, texts: Answers) -> str:
    """Dotted, but in quotes where a shorter name of the table, such as `model`, would have to be a table too."""
    parts = name.split(".")
    shorter = {".".join(parts[:count]) for count in range(1, len(parts))}
    return json.dumps(name) if shorter & texts.keys() else name


def _value(text: str) -> str:
    """A number or a switch as such, everything else as a text."""
    if _NUMBER.fullmatch(text) or text in ("true", "false"):
        return text
    if not text.isprintable():
        raise ConfigError("a value with control characters cannot be written into a settings file")
    return json.dumps(text, ensure_ascii=False)
