"""What the operator settled about rollouts: gates, shares, times."""

from __future__ import annotations

from dataclasses import dataclass, field

from streetvision.rollout.gates import DEADLINE_S, HARMLESS_SHARE, Gates
from streetvision.settings.model import RolloutSettings
from streetvision.subnet import SUBNET

TOO_SLOW_SHARE = 0.5
"""Share of the deadline beyond which a model that computes alone cannot serve: decoding and waiting come on top."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules by which models change."""

    gates: Gates = field(default_factory=Gates)
    shadow_share: float = RolloutSettings.shadow_share
    canary_share: float = RolloutSettings.canary_share
    keep_s: float = 60 * RolloutSettings.keep_minutes
    """Seconds for which the former model stays loaded."""
    deadline_s: float = DEADLINE_S
    """Seconds in which validators must have an answer."""

    @property
    def too_slow_s(self) -> float:
        """Seconds of one golden picture alone beyond which a model may not serve."""
        return TOO_SLOW_SHARE * self.deadline_s


def policy_of(rollout: RolloutSettings, deadline_margin: float) -> Policy:
    """The policy that the settings name; `deadline_margin` is the axon's, in seconds."""
    deadline = SUBNET.timeout_s - deadline_margin
    gates = Gates(
        min_samples=rollout.min_samples,
        min_agreement=rollout.min_agreement,
        max_error_rate=rollout.max_error_rate,
        max_p99_ratio=rollout.max_p99_ratio,
        max_shift=rollout.max_shift,
        harmless_s=HARMLESS_SHARE * deadline,
    )
    return Policy(
        gates=gates,
        shadow_share=rollout.shadow_share,
        canary_share=rollout.canary_share,
        keep_s=60 * rollout.keep_minutes,
        deadline_s=deadline,
    )
