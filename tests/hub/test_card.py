"""The subnet's card: the exact five keys, an own hotkey, a sane time; and the README beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bittensor.sp_core import Keypair
from hypothesis import given
from hypothesis import strategies as st

from streetvision.errors import OperatorError
from streetvision.hub.card import (
    CARD_KEYS,
    age_days,
    card_text,
    is_plain_version,
    is_ss58,
    model_card,
    parse_card,
    problems,
)
from streetvision.hub.readme import NO_FIGURES, readme

from .fake_hub import ALICE, BOB

NOW = 1_790_000_000.0


def a_card(**changes: Any) -> dict[str, Any]:
    return {**model_card("roadwork", "1.2.0", "What it is.", hotkey=ALICE, submitted=NOW), **changes}


def test_a_card_has_the_five_keys_and_nothing_else() -> None:
    card = a_card()
    assert tuple(card) == CARD_KEYS
    assert card["submission_time"] == int(NOW)
    assert type(card["submission_time"]) is int
    assert json.loads(card_text(card)) == card
    assert problems(card, ALICE, now=NOW) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": "1.2"}, "version must be X.Y.Z"),
        ({"version": "v1.2.0"}, "version must be X.Y.Z"),
        ({"version": "1.2.0-rc1"}, "version must be X.Y.Z"),
        ({"version": 1.2}, "version must be X.Y.Z"),
        ({"model_name": "  "}, "model_name must be a text"),
        ({"model_name": "a\x1bb"}, "control characters"),
        ({"description": 3}, "description must be a text"),
        ({"description": "x" * 3000}, "longer than 2000"),
        ({"submitted_by": ALICE[:-1] + "Z"}, "submitted_by must be a hotkey"),
        ({"submitted_by": None}, "submitted_by must be a hotkey"),
        ({"submission_time": "2026-11-22"}, "whole number of unix seconds"),
        ({"submission_time": NOW}, "whole number of unix seconds"),
        ({"submission_time": True}, "whole number of unix seconds"),
        ({"submission_time": 12}, "before the subnet began"),
        ({"submission_time": int(NOW * 1000)}, "not in seconds"),
        ({"submission_time": 10**400}, "not in seconds"),
        ({"submission_time": int(NOW) + 86_400}, "in the future"),
        ({"extra": 1}, "'extra' is not a key"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], says: str) -> None:
    wrong = problems(a_card(**changes), now=NOW)
    assert len(wrong) == 1
    assert says in wrong[0]


def test_a_missing_key_and_a_foreign_hotkey_are_named() -> None:
    card = a_card()
    assert "not this miner's hotkey" in problems(card, BOB, now=NOW)[0]
    del card["version"]
    assert problems(card, ALICE) == ["version is missing"]
    strange: tuple[object, ...] = ([], "card", None, 3)
    for nonsense in strange:
        assert problems(nonsense, ALICE) == ["it is not a JSON object"]


def test_a_wrong_card_is_not_made() -> None:
    with pytest.raises(OperatorError, match=r"version must be X\.Y\.Z"):
        model_card("roadwork", "one", "What it is.", hotkey=ALICE, submitted=NOW)


def test_age_in_days() -> None:
    assert age_days(a_card(), NOW + 45.0 * 86_400) == 45.0
    assert age_days(a_card(), NOW - 50) == 0.0
    assert age_days(a_card(submission_time=NOW), NOW + 86_400) == 1.0
    for unknown in ("", None, True, float("nan"), float("inf"), NOW * 1000, -1):
        assert age_days(a_card(submission_time=unknown), NOW) is None
    assert age_days([], NOW) is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_a_strangers_values_never_raise(value: object) -> None:
    for key in CARD_KEYS:
        card = a_card(**{key: value})
        assert isinstance(problems(card, ALICE, now=NOW), list)
        assert age_days(card, NOW) is None or age_days(card, NOW) == age_days(card, NOW)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 47), st.sampled_from("123456789ABCXYZabcxyz"))
def test_addresses_are_judged_as_the_sdk_judges_them(public: bytes, place: int, letter: str) -> None:
    made = str(Keypair(public_key=public, ss58_format=42).ss58_address)
    assert is_ss58(made)
    changed = made[:place] + letter + made[place + 1 :]
    assert is_ss58(changed) == _sdk_accepts(changed)
    assert not is_ss58(made + "1")
    assert not is_ss58("0" + made[1:])


def _sdk_accepts(address: str) -> bool:
    try:
        return bool(Keypair(ss58_address=address).ss58_address == address)
    except ValueError:
        return False


def test_plain_versions() -> None:
    assert is_plain_version("0.1.10")
    for other in ("1", "01.0.0", "1.0.0+b", "1.0.0 ", "١.0.0", 1, None):
        assert not is_plain_version(other)


def test_a_card_that_is_no_json_is_a_sentence() -> None:
    assert parse_card(card_text(a_card()).encode()) == a_card()
    for data in (b"{", b"\xff\xfe", b"[" * 60_000, b"x" * 70_000):
        with pytest.raises(OperatorError, match=r"model_card\.json"):
            parse_card(data)


def page(about: dict[str, Any], metrics: dict[str, Any] | None = None, license: str | None = None) -> str:
    card = a_card(model_name="road_work <b>")
    files = [("model.safetensors", 123, "ab" * 32)]
    return readme(
        card,
        repo="me/roadwork",
        about=about,
        metrics=metrics or {},
        facts=[("network", "vit | 224")],
        files=files,
        license=license,
    )


def test_the_readme_tells_figures_limits_use_and_files() -> None:
    groups = {"views": {"clean": {"mcc": 0.95, "accuracy": 0.98}, "level_0": {"mcc": 0.9}}, "ece": 0.02123456}
    text = page({"limits": "Night.", "data": "Photos.", "odd": {"a": 1}}, groups, "apache-2.0")
    assert text.startswith("---\n")
    assert 'license: "apache-2.0"' in text
    assert "| clean | 0.95 | 0.98 |" in text
    assert "| level\\_0 | 0.9 |  |" in text
    assert "| ece | 0.02123 |" in text
    assert "## Limits\n\nNight." in text
    assert "## Data\n\nPhotos." in text
    assert "streetvision models pull me/roadwork@v1.2.0" in text
    assert "`model.safetensors` | 123" in text
    assert ALICE in text
    assert "| network | vit \\| 224 |" in text


def test_the_readme_says_when_there_are_no_figures() -> None:
    text = page({})
    assert NO_FIGURES in text
    assert "license" not in text.split("---")[1]
    assert "not meant to steer vehicles" in text


def test_a_strangers_card_cannot_become_markup() -> None:
    text = page({"limits": "<script>x</script>\n---\n# big [a](javascript:b)", "k|e`y": "v\x00\u202e|w"})
    assert "<script>" not in text
    assert "\n# big" not in text
    assert r"\[a\](javascript" in text
    assert "\u202e" not in text
    assert "k\\|e\\`y" in text
    assert "<b>" not in text
