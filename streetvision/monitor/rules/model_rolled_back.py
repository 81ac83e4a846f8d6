"""A trial of a model failed."""

from __future__ import annotations

from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import proves_after_card
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import Thresholds


def model_rolled_back(seen: Observation, limits: Thresholds) -> list[Finding]:
    """A canary failed and the model before answers again."""
    rollout = seen.rollout
    if rollout is None or rollout.state != "rolled_back":
        return []
    return [
        Finding(
            code="model_rolled_back",
            severity=Severity.WARNING,
            title=f"model {rollout.version} was rolled back",
            evidence=(rollout.reason or "The rollout's journal gives no reason.",),
            remedy="Nothing is lost: the model before answers. Read streetvision models status before trying it again.",
            since=rollout.since,
            data={"version": rollout.version},
        )
    ]


_ROLLOUT = Need("no running miner", lambda seen, _: seen.rollout is not None)

RULES = (
    Rule(
        code="model_rolled_back",
        order=1020,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="A canary was rolled back and the model before answers again",
        remedy="Read `streetvision models status`",
        judge=model_rolled_back,
        needs=(_ROLLOUT,),
        check="model",
        absence=proves_after_card,
    ),
)
