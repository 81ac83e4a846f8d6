"""A rule and all that others must know of it: whose fault it finds, what it needs, which check covers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.thresholds import Thresholds


class Fault(StrEnum):
    """Whose fault a finding is, when it is the usual one."""

    OURS = "ours"
    """The miner's: its settings, its model, its machine or its line."""
    NODE = "node"
    """The chain's node that the miner reads."""
    PROXY = "proxy"
    """A proxy before the axon."""
    VALIDATOR = "validator"
    """One validator's."""
    SUBNET = "subnet"
    """The whole subnet's."""

    @property
    def is_mendable(self) -> bool:
        """Whether the operator can put it right, if only by turning to others; a subnet's fault one waits out."""
        return self is not Fault.SUBNET


Judge = Callable[[Observation, Thresholds], list[Finding]]
"""Findings that hold now; none when all is well or too little is known."""


@dataclass(frozen=True, slots=True)
class Need:
    """Knowledge without which a rule cannot say that all is well."""

    missing: str
    """How a pass says that it is not there, in a few words: `no GPU reading`."""
    is_met: Callable[[Observation, Thresholds], bool]


Absence = Callable[[Observation], bool]
"""Whether a rule that finds nothing proves that all is well."""


def proves_always(_: Observation) -> bool:
    """For rules that see all they need at the first pass."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; every finding of `judge` carries `code`."""

    code: str
    order: int
    """Place among the rules, in which an operator reads findings of one severity; unique."""
    severity: Severity
    """The gravest it can find."""
    fault: Fault
    meaning: str
    """For docs/monitoring.md, one sentence without a full stop."""
    remedy: str
    """In general; a finding names the exact step."""
    judge: Judge
    needs: tuple[Need, ...] = ()
    check: str | None = None
    """The doctor's check on which this rule has the last word; None: its findings stand for themselves."""
    of_subnet: bool = False
    """Whether it judges the subnet as the chain shows it now: skipped while the node's time is wrong."""
    at_once: bool = False
    """Whether the operator is told at the first pass: it neither comes and goes nor leaves time to wait."""
    news: bool = False
    """Whether it is good news: told once where the operator wants news, and its end is not."""
    absence: Absence = proves_always
    """Asked by the alerts, so that a recovery is not told of only because the miner was restarted."""

    def missing(self, seen: Observation, limits: Thresholds) -> str | None:
        """The first need that is not met; None when all are."""
        return next((need.missing for need in self.needs if not need.is_met(seen, limits)), None)
