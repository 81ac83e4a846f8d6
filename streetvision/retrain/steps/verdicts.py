"""Gates as jobs hand them over, written into the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streetvision.retrain.step import Context

REFUSED, UNJUDGED = "refused", "unjudged"
"""Of gates.Outcome, which brings torch."""


def note_gate(context: Context, gate: Mapping[str, Any]) -> None:
    """Note how a gate decided; one that had too little to judge by refuses nothing, and says so."""
    unjudged = "not judged: " if gate["outcome"] == UNJUDGED else ""
    evidence = {**gate["figures"], "outcome": gate["outcome"], "improved": gate["improved"]}
    context.decide(gate["name"], passed=not refuses(gate), reason=f"{unjudged}{gate['why']}", evidence=evidence)


def refuses(gate: Mapping[str, Any]) -> bool:
    """Whether it keeps the candidate, or the labels, out."""
    return bool(gate["outcome"] == REFUSED)
