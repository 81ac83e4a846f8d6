"""How versions are shown: a table for people, fields for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from streetvision.models.checks import CheckpointError
from streetvision.models.ensemble import is_ensemble, read_ensemble
from streetvision.models.folder import read_config
from streetvision.models.versions import ModelVersion

HEADER = ("VERSION", "NAME", "KIND", "MADE", "ADDED", "HASH", "STATE", "SOURCE")
SPARE = ("KIND", "HASH", "ADDED", "MADE")
"""Columns that a narrow terminal goes without, in this order; `models show` has them all."""
_LONGEST = 48
_SHORTEST = 12


@dataclass(frozen=True, slots=True)
class VersionRoles:
    """What versions are to this miner, besides what they are by themselves."""

    active: str | None
    previous: str | None
    """The one that a rollback brings back."""
    why_bad: Callable[[ModelVersion], str | None] = lambda _: None
    """Why a version was rolled back, if it was and has not been promoted by hand since."""


def version_fields(item: ModelVersion, standing: VersionRoles) -> dict[str, Any]:
    """All fields of a version, and what it is to this miner."""
    return {
        **asdict(item),
        **_network(item),
        "folder": str(item.folder),
        "active": item.version == standing.active,
        "last_good": item.version == standing.previous,
        "rolled_back": standing.why_bad(item),
    }


def version_table(versions: Sequence[ModelVersion], standing: VersionRoles, width: int | None = None) -> str:
    """One line a version, columns as wide as they need to be; `width`: of the terminal, where it is one."""
    rows = [HEADER, *(_row(item, standing) for item in versions)]
    shown = list(range(len(HEADER)))
    for name in SPARE:
        if width is not None and _total(rows, shown, _SHORTEST) > width:
            shown.remove(HEADER.index(name))
    room = _LONGEST if width is None else max(_SHORTEST, width - _total(rows, shown[:-1], 0) - 2)
    widths = _widths(rows, shown[:-1])
    cells = [[row[column].ljust(width) for column, width in widths.items()] for row in rows]
    return "\n".join("  ".join([*cell, _short(row[-1], room)]) for cell, row in zip(cells, rows, strict=True))


def version_page(item: ModelVersion, fields: Mapping[str, Any]) -> str:
    """All that is known of a version, a line a field, the card last."""
    shown = ("version", "name", "kind", "source", "added", "created", "sha256", "folder")
    lines = [f"{name:<9} {fields[name] or '-'}" for name in shown]
    lines.append(f"{'state':<9} {_state(item, fields['active'], fields['last_good'], fields['rolled_back'])}")
    lines += [f"{'why not':<9} {why}" for why in (item.why_not, fields["rolled_back"]) if why]
    if "network" in fields:
        lines.append(f"{'network':<9} {fields['network']}, {fields['input_size']} pixels, head {fields['head']}")
    lines += _parts(item)
    for name in ("metrics", "card"):
        if fields[name]:
            lines += ["", f"{name}:", _harmless(json.dumps(fields[name], indent=2, ensure_ascii=False))]
    return "\n".join(lines)


def _parts(item: ModelVersion) -> list[str]:
    """What an ensemble is made of."""
    if not is_ensemble(item.folder):
        return []
    try:
        ensemble = read_ensemble(item.folder)
    except CheckpointError:
        return []  # the state says so
    members = [f"{'member':<9} {member}, weight {member.weight:g}" for member in ensemble.members]
    router = [f"{'router':<9} {ensemble.router.words}"] if ensemble.router is not None else []
    return [*members, f"{'views':<9} {', '.join(ensemble.views)}", *router]


def _network(item: ModelVersion) -> dict[str, Any]:
    """What computes a checkpoint's answer; empty for an ensemble, and where the description cannot be read."""
    if is_ensemble(item.folder):
        return {}
    try:
        config = read_config(item.folder)
    except CheckpointError:
        return {}  # the state says so
    return {"network": config.architecture, "input_size": config.input_size, "head": config.head.kind}


def _widths(rows: Sequence[Sequence[str]], shown: Sequence[int]) -> dict[int, int]:
    return {column: max(len(row[column]) for row in rows) for column in shown}


def _total(rows: Sequence[Sequence[str]], shown: Sequence[int], longest_source: int) -> int:
    """How wide these columns are with two blanks between them."""
    found = _widths(rows, shown)
    widths = [min(width, longest_source) if HEADER[column] == "SOURCE" else width for column, width in found.items()]
    return sum(widths) + 2 * (len(widths) - 1)


def _row(item: ModelVersion, standing: VersionRoles) -> tuple[str, ...]:
    active, last_good = item.version == standing.active, item.version == standing.previous
    state = _state(item, active, last_good, standing.why_bad(item))
    days = (_day(item.created), _day(item.added))
    return (item.version, _short(item.name), item.kind, *days, item.sha256[:12] or "-", state, _short(item.source))


def _state(item: ModelVersion, active: bool, last_good: bool, why_bad: str | None) -> str:
    if not item.servable:
        return "may not serve"
    if active:
        return "active"
    if why_bad is not None:
        return "rolled back"
    return "last good" if last_good else "ready"


def _harmless(text: str) -> str:
    """A stranger's words without what could steer a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else f"\\u{ord(letter):04x}" for letter in text)


def _day(moment: str) -> str:
    return moment[:10] or "-"


def _short(text: str, longest: int = _LONGEST) -> str:
    """The end of a long text tells more: a path's last folders, a repository's commit."""
    return text if len(text) <= longest else "…" + text[1 - longest :]
