"""Prompts for and against roadwork, in several languages, as a TOML file gives them. Pure reading, no network in it.

reduction = "best"

[for]
en = ["road works"]

[against]
en = ["an empty street"]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from streetvision.base.toml import parse_toml, read_toml
from streetvision.errors import OperatorError

SIDES = ("for", "against")
REDUCTIONS = ("best", "mean")
MOST = 500
"""Prompts of a file."""
LONGEST = 300
"""Characters of a prompt; the text tower reads 64 tokens."""

ByLanguage = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Prompts:
    """What a picture is compared with."""

    roadwork: ByLanguage
    other: ByLanguage
    reduction: str = "best"
    """`best`: the prompts of a side that fit best count most (the mean of their exponentials); `mean`: a side is one
    embedding, the mean of its prompts'."""

    def texts(self, side: str) -> tuple[str, ...]:
        """All prompts of `for` or `against`, language by language."""
        return tuple(text for texts in (self.roadwork if side == "for" else self.other).values() for text in texts)

    def to_card(self) -> dict[str, object]:
        """As a model's description tells of them."""
        sides = {"for": self.roadwork, "against": self.other}
        told = {side: {language: list(texts) for language, texts in of.items()} for side, of in sides.items()}
        return {"reduction": self.reduction, **told}


def default_prompts() -> Prompts:
    """Those that come with the package."""
    text = files("streetvision.assets").joinpath("prompts.toml").read_text(encoding="utf-8")
    return parse_prompts(text, "the prompts of the package")


def read_prompts(path: Path) -> Prompts:
    """An operator's file; raises OperatorError with one sentence."""
    return _prompts(read_toml(path, "prompts"), str(path))


def parse_prompts(text: str, where: str) -> Prompts:
    """The prompts that a TOML text gives; `where` names it in errors."""
    return _prompts(parse_toml(text, where), where)


def _prompts(tables: Mapping[str, Any], where: str) -> Prompts:
    for key in tables:
        if key not in (*SIDES, "reduction"):
            raise OperatorError(f"{where} has the unknown key {key!r:.100}: write [for], [against] and reduction.")
    reduction = tables.get("reduction", "best")
    if reduction not in REDUCTIONS:
        raise OperatorError(f"{where}: reduction must be {' or '.join(REDUCTIONS)}, not {reduction!r:.100}.")
    prompts = Prompts(_side(tables, "for", where), _side(tables, "against", where), reduction)
    _check_together(prompts, where)
    return prompts


def _side(tables: Mapping[str, object], side: str, where: str) -> ByLanguage:
    table = tables.get(side, {})
    if not isinstance(table, dict):
        raise OperatorError(f'{where}: {side} is a section: write [{side}] and languages below, such as en = ["..."].')
    found = {language: _texts(texts, f"{where}: {side}.{language:.40}") for language, texts in table.items()}
    if not any(found.values()):
        words = "means" if side == "for" else "does not mean"
        raise OperatorError(f"{where} has no prompts in [{side}]: write at least one that {words} roadwork.")
    return found


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise OperatorError(f'{where} must be a list of texts, such as ["road works"].')
    for text in value:
        if not text.strip() or len(text) > LONGEST or not text.isprintable():
            raise OperatorError(f"{where} holds {text!r:.100}: a prompt is one line of at most {LONGEST} characters.")
    return tuple(text.strip() for text in value)


def _check_together(prompts: Prompts, where: str) -> None:
    ours, others = (prompts.texts(side) for side in SIDES)
    if len(ours) + len(others) > MOST:
        raise OperatorError(f"{where} holds {len(ours) + len(others)} prompts: give at most {MOST}.")
    both = sorted(set(ours) & set(others))
    if both:
        raise OperatorError(f"{where} has {both[0]!r} both for and against: keep it on one side.")
