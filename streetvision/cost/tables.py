"""Tables of TOML, read strictly: a misspelt key, a missing or a negative figure is one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any, TypeVar, get_type_hints

from streetvision.errors import OperatorError

LARGEST = 1e9
"""Of any figure."""

Table = Mapping[str, Any]
Kind = TypeVar("Kind")


def merged(under: Table, over: Table) -> dict[str, Any]:
    """The tables of `under` with those of `over` in their places, key by key."""
    both = dict(under)
    for key, value in over.items():
        below = both.get(key)
        both[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return both


def section(table: object, where: str) -> Table:
    """A value that must be a table; raises OperatorError."""
    if not isinstance(table, Mapping):
        raise OperatorError(f"{where} is a section: write [{where}] and its keys below")
    return table


def row(kind: type[Kind], table: object, where: str) -> Kind:
    """A dataclass from a table that has its keys and no others; raises OperatorError."""
    given = section(table, where)
    wanted: dict[str, Field[Any]] = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    check_names(given, wanted, f"{where}.")
    hints = get_type_hints(kind)
    for name, field in wanted.items():
        optional = field.default is not MISSING or field.default_factory is not MISSING
        if name not in given and not optional:
            raise OperatorError(f"{where}.{name} is missing: give {_WORDS[hints[name]]}")
    return kind(**{name: _value(hints[name], value, f"{where}.{name}") for name, value in given.items()})


def check_names(given: Iterable[str], known: Iterable[str], prefix: str = "") -> None:
    """Refuse a name that is not known, and say which one is near; raises OperatorError."""
    names = sorted(known)
    for name in given:
        if name not in names:
            near = next(iter(get_close_matches(name, names, n=1, cutoff=0.5)), None)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(names)}"
            raise OperatorError(f"{prefix}{name:.100} is not known: {hint}")


def _value(kind: Any, value: object, where: str) -> Any:  # noqa: ANN401  # whatever the field holds
    if kind is float:
        return _figure(value, where)
    if kind == Mapping[str, float]:
        return {name: _figure(figure, f"{where}.{name}") for name, figure in section(value, where).items()}
    if kind is date:
        if not isinstance(value, date) or isinstance(value, datetime):
            raise OperatorError(f"{where} must be a day such as 2026-11-30, without quotes, not {value!r:.60}")
        return value
    if not isinstance(value, str) or not value.strip():
        raise OperatorError(f"{where} must be a text in quotes, not {value!r:.60}")
    return value


def _figure(value: object, where: str) -> float:
    """Zero or more; money and speed alike are never negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OperatorError(f"{where} must be a number, not {value!r:.60}")
    if not 0 <= value <= LARGEST:
        told = f"{value:g}" if isinstance(value, float) else f"{value!s:.60}"  # an int may be too large for a float
        raise OperatorError(f"{where} is {told}: give a number from 0 to {LARGEST:,.0f}")
    return float(value)


_WORDS: Mapping[Any, str] = {
    float: "a number",
    str: "a text in quotes",
    date: "the day on which it was seen",
    Mapping[str, float]: "a table of numbers",
}
