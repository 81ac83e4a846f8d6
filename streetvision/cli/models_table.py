"""How versions are shown: a table for people, fields for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from streetvision.models.versions import ModelVersion

HEADER = ("VERSION", "NAME", "KIND", "MADE", "ADDED", "HASH", "STATE", "SOURCE")
_LONGEST = 48


def version_fields(item: ModelVersion, *, active: str | None, previous: str | None) -> dict[str, Any]:
    """All fields of a version, and whether it is active or the one that a rollback brings back."""
    fields = asdict(item)
    return {
        **fields,
        "folder": str(item.folder),
        "active": item.version == active,
        "last_good": item.version == previous,
    }


def version_table(versions: Sequence[ModelVersion], *, active: str | None, previous: str | None) -> str:
    """One line a version, columns as wide as they need to be."""
    rows = [HEADER, *(_row(item, active, previous) for item in versions)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def version_page(item: ModelVersion, fields: Mapping[str, Any]) -> str:
    """All that is known of a version, a line a field, the card last."""
    shown = ("version", "name", "kind", "source", "added", "created", "sha256", "folder")
    lines = [f"{name:<9} {fields[name] or '-'}" for name in shown]
    lines.append(f"{'state':<9} {_state(item, fields['active'], fields['last_good'])}")
    if item.why_not:
        lines.append(f"{'why not':<9} {item.why_not}")
    for name in ("metrics", "card"):
        if fields[name]:
            lines += ["", f"{name}:", _harmless(json.dumps(fields[name], indent=2, ensure_ascii=False))]
    return "\n".join(lines)


def _row(item: ModelVersion, active: str | None, previous: str | None) -> tuple[str, ...]:
    state = _state(item, item.version == active, item.version == previous)
    days = (_day(item.created), _day(item.added))
    return (item.version, _short(item.name), item.kind, *days, item.sha256[:12] or "-", state, _short(item.source))


def _state(item: ModelVersion, active: bool, last_good: bool) -> str:
    if not item.servable:
        return "may not serve"
    if active:
        return "active"
    return "last good" if last_good else "ready"


def _harmless(text: str) -> str:
    """A stranger's words without what could steer a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else f"\\u{ord(letter):04x}" for letter in text)


def _day(moment: str) -> str:
    return moment[:10] or "-"


def _short(text: str) -> str:
    """The end of a long text tells more: a path's last folders, a repository's commit."""
    return text if len(text) <= _LONGEST else "…" + text[1 - _LONGEST :]
