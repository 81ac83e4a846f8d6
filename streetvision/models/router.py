"""Which pictures the second member of an ensemble is asked about, and what both their answers come to.

Asking both members about every picture costs two forward passes; most of what the second one adds lies in the few
pictures on which the first is unsure, or that look like nothing it has learnt from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import exp
from typing import Any, Literal, get_args

from streetvision.models.checks import SHA256, check, exact_keys, matches, number

Rule = Literal["unsure", "far", "both"]
"""When the second member is asked: where the first is unsure, where the picture is far, where either holds."""
RULES: tuple[Rule, ...] = get_args(Rule)
ROUTER_FILE = "router.safetensors"
"""Beside `ensemble.json`: what the first member's embeddings are measured against (`models/embedding_distance.py`)."""
MAX_ROUTER_BYTES = 64 << 20
"""Embeddings of 60,000 numbers take that much."""
MAX_LOGIT = 1e3
MAX_DISTANCE = 1e9


class RouterOutcome(StrEnum):
    """Why an answer of a router is the first member's alone, or both members'."""

    SURE = "sure"
    """No rule asked for the second member."""
    ASKED = "asked"
    """Both answered."""
    NO_TIME = "no_time"
    """A rule asked, but its time was needed elsewhere: the first member's answer stands."""
    FAILED = "failed"
    """A rule asked, and the second member failed: the first member's answer stands."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A logistic regression over both members' logits: `first` and `second` weigh them, `bias` is added."""

    first: float
    second: float
    bias: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            number(f"the router's stack, {name},", value, float, -MAX_LOGIT, MAX_LOGIT)


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """What `ensemble.json` says of its router. Construction checks every field; raises CheckpointError."""

    band: float | None = None
    """The second member is asked where the first one's calibrated logit lies within this of 0; None: no such rule."""
    distance: float | None = None
    """It is asked where the first one's embedding lies at least so far from those it knows; None: no such rule."""
    sha256: str = ""
    """Of ROUTER_FILE; empty without a distance."""
    stack: Stack | None = None
    """How both answers are put together; None: by the members' weighted mean."""

    def __post_init__(self) -> None:
        check(self.band is not None or self.distance is not None, "a router needs a band or a distance")
        if self.band is not None:
            number("the router's band", self.band, float, 0.0, MAX_LOGIT)
        if self.distance is not None:
            number("the router's distance", self.distance, float, 0.0, MAX_DISTANCE)
            matches("the router's sha256", self.sha256, SHA256, "64 hexadecimal digits")
        else:
            check(self.sha256 == "", "the router's sha256 belongs to a distance")

    @property
    def rule(self) -> Rule:
        """As `streetvision models combine --route` calls it."""
        return "far" if self.band is None else "unsure" if self.distance is None else "both"

    @property
    def words(self) -> str:
        """When it asks the second member, and how both answers are put together."""
        rules = []
        if self.band is not None:
            edge = 1 / (1 + exp(-self.band))
            rules.append(f"the first's probability is from {1 - edge:.3f} to {edge:.3f}")
        if self.distance is not None:
            rules.append(f"its embedding is {self.distance:.3g} or more from those it knows")
        together = "stacked" if self.stack is not None else "averaged"
        return f"the second member is asked where {' or '.join(rules)}; then both are {together}"

    def to_fields(self) -> dict[str, Any]:
        """As `ensemble.json` holds it."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}

    @classmethod
    def from_fields(cls, data: object) -> RouterConfig:
        """From `ensemble.json`; raises CheckpointError."""
        values = exact_keys("router", data, cls, optional=("band", "distance", "sha256", "stack"))
        if isinstance(values.get("stack"), Mapping):
            values["stack"] = Stack(**exact_keys("router.stack", values["stack"], Stack))
        check(isinstance(values.get("stack"), Stack | None), "the router's stack must be an object")
        return cls(**values)
