"""How large a rehearsal is: how many pictures, how long each part, how it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RECIPE = """\
[tune]
method = "full"
[loss]
label_smoothing = 0.02
[optimiser]
lr = 3e-4
epochs = 5
[augment]
validator = 0.0
native = 1.0
camera = 0.3
sideways = 0.0
[run]
batch = 16
precision = "fp32"
log = "none"
"""

GATES: Mapping[str, str] = {
    "ROLLOUT_MIN_AGREEMENT": "0.5",
    "ROLLOUT_MAX_SHIFT": "0.6",
    "RETRAIN_MIN_AGREEMENT": "0.5",
}
"""The stream shifts within minutes: a model that knows it must differ from one that does not (docs/retraining.md)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Pictures of each set."""

    day: int = 80
    """Learned from, as the model knows them."""
    night: int = 320
    """Asked, labelled and learned from."""
    frozen: int = 120
    """Of each kind: what every model is judged on by the gates."""
    poisoned: int = 120
    test: int = 150
    """Of each kind: what the table is made from; no gate and no training sees them."""


@dataclass(frozen=True, slots=True)
class Scale:
    """All of it."""

    counts: Counts = field(default_factory=Counts)
    recipe: str = RECIPE
    period_s: float = 0.4
    """Between two challenges."""
    listen_s: float = 45.0
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
    "DEVICE": "cpu",
}
