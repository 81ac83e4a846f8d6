"""`model_card.json` in the subnet's exact form, and its check.

A miner must own a public Hugging Face repository that holds this file in its hotkey's name. Source of the five keys:
the subnet's public guide for miners.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from streetvision.errors import OperatorError

CARD_FILE = "model_card.json"
CARD_KEYS = ("model_name", "description", "version", "submitted_by", "submission_time")
CARD_LIMIT_BYTES = 1 << 16

DAY_S = 86_400.0
EARLIEST = 1_700_000_000
"""Unix seconds (November 2023) before which the subnet did not exist: anything smaller is no time of submission."""
CLOCK_SLACK_S = 3_600.0
"""How far ahead of this machine's clock a submission may lie."""

_PLAIN_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")
_LIMITS = {"model_name": 200, "description": 2_000}
SS58_PREFIX = 42
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def model_card(name: str, version: str, description: str, *, hotkey: str, submitted: float) -> dict[str, Any]:
    """The card of a model; `submitted` in unix seconds. OperatorError when it would not be a right card."""
    card = {
        "model_name": name,
        "description": description.strip(),
        "version": version,
        "submitted_by": hotkey,
        "submission_time": int(submitted),
    }
    wrong = problems(card, hotkey, now=submitted)
    if wrong:
        raise OperatorError(f"{CARD_FILE} would be wrong: {'; '.join(wrong)}.")
    return card


def card_text(card: dict[str, Any]) -> str:
    """The file's text."""
    return json.dumps(card, indent=2, ensure_ascii=False) + "\n"


def parse_card(data: bytes) -> object:
    """What a stranger's card holds, unchecked; OperatorError when it is too large or no JSON."""
    if len(data) > CARD_LIMIT_BYTES:
        raise OperatorError(f"{CARD_FILE} is larger than {CARD_LIMIT_BYTES >> 10} KiB and so no model card.")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise OperatorError(f"{CARD_FILE} is not valid JSON: publish the model again.") from error


def problems(card: object, hotkey: str | None = None, *, now: float | None = None) -> list[str]:
    """Every way in which this is not the subnet's card, as clauses; empty when it is right.

    With `hotkey` (ss58) it must be that hotkey's own; with `now` (unix seconds) it may not come from the future.
    """
    if not isinstance(card, dict):
        return ["it is not a JSON object"]
    wrong = [f"{key} is missing" for key in CARD_KEYS if key not in card]
    wrong += [f"{key!r:.80} is not a key of the card" for key in card if key not in CARD_KEYS]
    checks = {**dict.fromkeys(_LIMITS, _text_problem), "version": _version_problem, "submitted_by": _hotkey_problem}
    for key, check in checks.items():
        if key in card and (problem := check(key, card[key])):
            wrong.append(problem)
    if "submission_time" in card and (problem := _time_problem(card["submission_time"], now)):
        wrong.append(problem)
    if hotkey is not None and is_ss58(card.get("submitted_by")) and card["submitted_by"] != hotkey:
        wrong.append(f"submitted_by is {card['submitted_by']}, not this miner's hotkey {hotkey}")
    return wrong


def age_days(card: object, now: float) -> float | None:
    """Days since the submission, at least 0; None when the card does not say when. `now` in unix seconds."""
    submitted = card.get("submission_time") if isinstance(card, dict) else None
    if isinstance(submitted, bool) or not isinstance(submitted, int | float) or not submitted < 100 * EARLIEST:
        return None
    return max(0.0, (now - submitted) / DAY_S) if submitted >= EARLIEST else None


def is_ss58(address: object) -> bool:
    """Whether this is a well-formed address on this chain: base58 of prefix 42, a 32-byte key and its checksum."""
    if not isinstance(address, str) or len(address) != 48 or set(address) - set(_BASE58):
        return False
    number = 0
    for letter in address:
        number = number * 58 + _BASE58.index(letter)
    if number >> 8 * 35:
        return False
    data = number.to_bytes(35, "big")
    return data[0] == SS58_PREFIX and hashlib.blake2b(b"SS58PRE" + data[:-2]).digest()[:2] == data[-2:]


def is_plain_version(version: object) -> bool:
    """Whether this is X.Y.Z with nothing before or after, which is all that the card allows."""
    return isinstance(version, str) and _PLAIN_VERSION.fullmatch(version) is not None


def _text_problem(key: str, value: object) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return f"{key} must be a text that is not empty"
    if len(value) > _LIMITS[key]:
        return f"{key} is longer than {_LIMITS[key]} characters"
    if not all(letter.isprintable() or letter in "\n\t" for letter in value):
        return f"{key} holds control characters"
    return None


def _version_problem(key: str, value: object) -> str | None:
    return None if is_plain_version(value) else f"{key} must be X.Y.Z, not {value!r:.80}"


def _hotkey_problem(key: str, value: object) -> str | None:
    return None if is_ss58(value) else f"{key} must be a hotkey's ss58 address, not {value!r:.80}"


def _time_problem(value: object, now: float | None) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return f"submission_time must be a whole number of unix seconds, not {value!r:.80}"
    if value < EARLIEST:
        return f"submission_time {value} lies before the subnet began"
    if value > 100 * EARLIEST:
        return f"submission_time {value!r:.20} is not in seconds"
    if now is not None and value > now + CLOCK_SLACK_S:
        return f"submission_time {value} lies in the future"
    return None
