"""How large a rehearsal is: how many pictures, how long each part, how it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RECIPE = """\
[tune]
method = "head"
[optimiser]
lr = 1e-3
epochs = 20
[augment]
validator = 0.0
native = 1.0
camera = 0.0
sideways = 0.0
copies = 1
[run]
batch = 32
log = "none"
"""
"""The head alone learns: minutes on two cores, and all else is as by night."""

GATES: Mapping[str, str] = {
    "ROLLOUT_MIN_AGREEMENT": "0.4",
    "ROLLOUT_MAX_SHIFT": "0.7",
    "RETRAIN_MIN_AGREEMENT": "0.4",
}
"""The stream shifts within minutes: a model that knows it must differ from one that does not (docs/retraining.md)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Pictures of each set."""

    day: int = 60
    """Learned from, as the model knows them."""
    night: int = 400
    """Asked, labelled and learned from."""
    frozen_day: int = 60
    """What every model is judged on by the gates."""
    frozen_night: int = 200
    later: int = 40
    """Labelled after the first run."""
    poisoned: int = 80
    test: int = 150
    """Of each kind: what the table is made from; no gate and no training sees them."""


@dataclass(frozen=True, slots=True)
class Scale:
    """All of it."""

    counts: Counts = field(default_factory=Counts)
    recipe: str = RECIPE
    period_s: float = 0.4
    """Between two challenges."""
    listen_s: float = 40.0
    """For how long each stream is asked before something is done about it."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Over SETTINGS."""

    def environment(self) -> dict[str, str]:
        """The settings of miner and runs."""
        return {**SETTINGS, **self.settings}


SETTINGS: Mapping[str, str] = {
    **GATES,
    "ROLLOUT_MIN_SAMPLES": "40",
    "ROLLOUT_MAX_P99_RATIO": "1000",
    "RETRAIN_MINE": "false",
    "RETRAIN_MIN_LABELS": "50",
    "RETRAIN_SHADOW_MINUTES": "0.25",
    "RETRAIN_CANARY_SHARE": "0.5",
    "RETRAIN_CANARY_MINUTES": "5",
    "RETRAIN_DEVICE": "cpu",
    "RETRAIN_NICE": "0",
    "DEVICE": "cpu",
}
"""Trials take minutes, not hours; training steps back behind nobody, since somebody waits for it."""
