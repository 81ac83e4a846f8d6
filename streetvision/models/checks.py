"""Strict checks of descriptions that may come from strangers; each failure is one sentence that names the field."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, NoReturn

from streetvision.errors import OperatorError

FORMAT = 1
"""Of every description."""
SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_NESTING = 50


class CheckpointError(OperatorError):
    """A checkpoint cannot be used; the message is one sentence that names what is wrong with it."""


def load_json(where: str, source: str) -> object:
    """Parse JSON without NaN and infinities; CheckpointError names the file."""
    try:
        parsed: object = json.loads(source, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where} is not valid JSON ({error}).") from error
    if _is_deep(parsed):
        raise CheckpointError(f"{where} nests more than {MAX_NESTING} levels deep.")
    return parsed


def exact_keys(where: str, data: object, model: type, *, optional: Collection[str] = ()) -> dict[str, Any]:
    """The object as a dict, if its keys are exactly the fields of the dataclass `model`; `optional` ones may lack."""
    if not isinstance(data, dict):
        fail(f"{where} must hold a JSON object")
    known = {item.name for item in fields(model)}
    for name in data:
        check(name in known, f"{where} has the unknown key {name!r}")
    for name in sorted(known.difference(optional)):
        check(name in data, f"{where} lacks the key {name!r}")
    return dict(data)


def common_fields(format: object, name: object, version: object, created: object, card: object) -> None:
    """Check what every description has, a checkpoint's and an ensemble's; an empty `created` is unknown."""
    check(is_kind(format, int) and format == FORMAT, f"format {format!r} is not {FORMAT}; update streetvision")
    printable("name", name)
    matches("version", version, SEMVER, "a semantic version such as 1.0.0")
    check(created == "" or is_time(created), "created must be an ISO 8601 time with a UTC offset")
    check(isinstance(card, Mapping), "card must be an object")


def to_json_text(what: str, data: Mapping[str, object]) -> str:
    """A description as it is saved; CheckpointError where it holds something that JSON does not know."""
    try:
        return json.dumps(data, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{what} cannot be written as JSON ({error}).") from error


def number(name: str, value: object, kind: type, low: float, high: float) -> None:
    """Raise unless `value` is of that kind and within the bounds."""
    word = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
    if not isinstance(value, int | float) or not is_kind(value, kind):
        fail(f"{name} must be {word}, not {value!r}")
    check(low <= value <= high, f"{name} must be from {low:g} to {high:g}, not {value!r}")


def is_kind(value: object, kind: type) -> bool:
    """Type test in JSON's sense: true is no number, and a whole number may stand for a float."""
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def triple(name: str, value: object, low: float, high: float) -> None:
    """Raise unless `value` is a tuple of three numbers within the bounds."""
    if not isinstance(value, tuple) or len(value) != 3:
        fail(f"{name} must be 3 numbers")
    for index, item in enumerate(value):
        number(f"{name}[{index}]", item, float, low, high)


def printable(name: str, value: object) -> None:
    """Raise unless `value` is a text of one line, 1 to 200 characters."""
    fits = isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()
    check(fits, f"{name} must be one line of 1 to 200 printable characters")


def matches(name: str, value: object, pattern: re.Pattern[str], what: str) -> None:
    """Raise unless `value` is a text of that pattern; `what` describes it."""
    check(is_match(value, pattern), f"{name} must be {what}, not {value!r}")


def is_match(value: object, pattern: re.Pattern[str]) -> bool:
    """Whether `value` is a text of that pattern."""
    return isinstance(value, str) and len(value) <= 200 and pattern.fullmatch(value) is not None


def is_time(value: object) -> bool:
    """Whether `value` is an ISO 8601 time with a UTC offset."""
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def check(holds: bool, sentence: str) -> None:
    """Raise with this clause unless it holds."""
    if not holds:
        fail(sentence)


def fail(sentence: str) -> NoReturn:
    """Raise CheckpointError with this clause."""
    raise CheckpointError(f"The model description is wrong: {sentence}.")


def _is_deep(value: object) -> bool:
    """Whether the value nests beyond the limit: copying it would then exhaust the stack."""
    level = [value]
    for _ in range(MAX_NESTING):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return bool(level)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed")
