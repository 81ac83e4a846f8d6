"""Numbers as an operator reads them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 20 min`, `4.5 days`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{seconds / 86400:.1f} days"


def took(started: str, ended: str, unknown: str = "-") -> str:
    """The time between two of ISO 8601; `unknown` while the second is empty. A clock that was set back: `0 s`."""
    if not ended:
        return unknown
    seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    return duration(max(0.0, seconds))


def moment(time: float) -> str:
    """`2026-11-22 20:50 UTC`."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC"


def share(fraction: float) -> str:
    """`12 %`; `0.4 %` below one percent; never rounded up to 100 %."""
    percent = 100 * fraction
    if 0 < percent < 1 or 99 < percent < 100:
        return f"{min(percent, 99.9):.1f} %"
    return f"{percent:.0f} %"


def gib(count: float) -> str:
    """`1.5 GiB`, `300 MiB`."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 validator`, `3 validators`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def listed(items: Iterable[str]) -> str:
    """`one`, `one and two`, `one, two and three`."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def clipped(text: str, longest: int) -> str:
    """At most so many characters of it; an ellipsis in place of the rest."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def short(hotkey: str) -> str:
    """The first characters of an address, enough to tell it from others."""
    return f"{hotkey[:8]}…" if len(hotkey) > 12 else hotkey
