"""A rule of which a pass can only say that it knew too little."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A rule that found nothing because it knows too little."""

    code: str
    why: str
    """The need that is not met, in a few words: `no GPU reading`."""


def read_unjudged(rows: Iterable[Mapping[str, Any]]) -> tuple[Unjudged, ...]:
    """The rules that `RulePass.as_dict` wrote; KeyError or TypeError for anything else."""
    return tuple(Unjudged(str(row["code"]), str(row["why"])) for row in rows)


def unjudged_words(unjudged: Iterable[Unjudged]) -> tuple[str, ...]:
    """`no GPU reading: gpu_pressure`, one for each reason, in the order of the rules."""
    by_reason: dict[str, list[str]] = {}
    for rule in unjudged:
        by_reason.setdefault(rule.why, []).append(rule.code)
    return tuple(f"{why}: {', '.join(codes)}" for why, codes in by_reason.items())
