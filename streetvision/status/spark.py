"""Sparklines and bars of text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

LEVELS = "▁▂▃▄▅▆▇█"
GAP = "·"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def sparkline(values: Sequence[float | None], width: int, *, best_is_low: bool = False) -> str:
    """The newest `width` values between their extremes, a dot where there is none; up is better."""
    shown = list(values)[-width:] if width > 0 else []
    known = [value for value in shown if value is not None]
    if not known:
        return GAP * len(shown)
    low, high = min(known), max(known)
    return "".join(GAP if value is None else _level(value, low, high, best_is_low) for value in shown)


def _level(value: float, low: float, high: float, best_is_low: bool) -> str:
    if high == low:
        return LEVELS[len(LEVELS) // 2]
    place = (value - low) / (high - low)
    return LEVELS[round((1 - place if best_is_low else place) * (len(LEVELS) - 1))]


def bar(share: float, width: int) -> str:
    """A bar in eighths of a column; what is there at all shows."""
    eighths = round(min(1.0, max(0.0, share)) * width * 8) or (1 if share > 0 else 0)
    full, rest = divmod(eighths, 8)
    return "█" * full + _EIGHTHS[rest].strip()
