"""Prompts as TOML: the package's own, an operator's, and what is wrong with one in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from streetvision.errors import OperatorError
from streetvision.models.prompts import default_prompts, parse_prompts, read_prompts

GOOD = """
reduction = "mean"
[for]
en = ["road works", " cones "]
de = ["Baustelle"]
[against]
en = ["a street"]
"""


def test_a_file_is_read_language_by_language(tmp_path: Path) -> None:
    path = tmp_path / "prompts.toml"
    path.write_text(GOOD, encoding="utf-8")
    prompts = read_prompts(path)
    assert prompts.texts("for") == ("road works", "cones", "Baustelle")
    assert prompts.texts("against") == ("a street",)
    assert prompts.to_card() == {
        "reduction": "mean",
        "for": {"en": ["road works", "cones"], "de": ["Baustelle"]},
        "against": {"en": ["a street"]},
    }


def test_the_packages_own_speak_ten_languages_and_more() -> None:
    prompts = default_prompts()
    assert prompts.reduction == "best"
    assert len(prompts.roadwork) >= 10 and set(prompts.roadwork) == set(prompts.other)
    assert all(prompts.roadwork.values()) and all(prompts.other.values())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"has no prompts in \[for\]: write at least one that means roadwork"),
        ("[for]\nen = ['a']", r"has no prompts in \[against\]"),
        ("[for]\nen = []\n[against]\nen = ['b']", r"has no prompts in \[for\]"),
        ("for = 3", r"for is a section: write \[for\]"),
        ("[for]\nen = 'a'", "for.en must be a list of texts"),
        ("[for]\nen = [1]", "for.en must be a list of texts"),
        ("[for]\nen = [' ']", "a prompt is one line"),
        ('[for]\nen = ["a\\nb"]', "a prompt is one line"),
        ("[for]\nen = ['a']\n[against]\nde = ['a']", "has 'a' both for and against"),
        ("reduction = 'max'", "reduction must be best or mean, not 'max'"),
        ("[pro]\nen = ['a']", "has the unknown key 'pro'"),
        ("[for", "is no TOML"),
        ("[for]\nen = [" + "'a'," * 600 + "]\n[against]\nen = ['b']", "holds 601 prompts: give at most 500"),
    ],
)
def test_what_is_wrong_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(OperatorError, match=sentence) as caught:
        parse_prompts(text, "prompts.toml")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be read"):
        read_prompts(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OperatorError, match="cannot be read"):
        read_prompts(tmp_path / "binary.toml")
