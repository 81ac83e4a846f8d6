"""What the operator settled about rollouts: gates, shares, times."""

from __future__ import annotations

from dataclasses import dataclass, field

from streetvision.rollout.gates import Gates
from streetvision.settings.settings import Settings
from streetvision.subnet import SUBNET

HARMLESS_SHARE = 0.1
"""Share of the deadline within which no forward pass is too slow, whatever it is compared with."""
TOO_SLOW_SHARE = 0.5
"""Share of the deadline beyond which a model that computes alone cannot serve: decoding and waiting come on top."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules by which models change."""

    gates: Gates = field(default_factory=Gates)
    shadow_share: float = 1.0
    canary_share: float = 0.1
    keep_s: float = 600.0
    """Seconds for which the former model stays loaded."""
    deadline_s: float = 8.5
    """Seconds in which validators must have an answer."""

    @property
    def too_slow_s(self) -> float:
        """Seconds of one golden picture alone beyond which a model may not serve."""
        return TOO_SLOW_SHARE * self.deadline_s


def policy_of(settings: Settings) -> Policy:
    """The policy that the settings name."""
    deadline = SUBNET.timeout_s - settings.axon_deadline_margin
    gates = Gates(
        min_samples=settings.rollout_min_samples,
        min_agreement=settings.rollout_min_agreement,
        max_error_rate=settings.rollout_max_error_rate,
        max_p99_ratio=settings.rollout_max_p99_ratio,
        max_shift=settings.rollout_max_shift,
        harmless_s=HARMLESS_SHARE * deadline,
    )
    return Policy(
        gates=gates,
        shadow_share=settings.rollout_shadow_share,
        canary_share=settings.rollout_canary_share,
        keep_s=60 * settings.rollout_keep_minutes,
        deadline_s=deadline,
    )
