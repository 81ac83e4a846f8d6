"""One pass of the rules, and the words in which the doctor, the status and the page tell of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from streetvision.monitor import rules
from streetvision.monitor.derived import OTHER_TIME, node_time_is_wrong
from streetvision.monitor.diagnosis import Diagnosis, diagnose
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.thresholds import THRESHOLDS, Thresholds
from streetvision.monitor.unjudged import Unjudged


@dataclass(frozen=True, slots=True)
class RulePass:
    """The findings of one observation, the rules that could not judge it, and the diagnosis."""

    seen: Observation
    findings: tuple[Finding, ...]
    """The gravest first, else in the rules' order."""
    unjudged: tuple[Unjudged, ...]
    """In the rules' order."""
    diagnosis: Diagnosis

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; the observation is left out."""
        return {
            "findings": [finding.as_dict() for finding in self.findings],
            "unjudged": [asdict(rule) for rule in self.unjudged],
            "diagnosis": self.diagnosis.as_dict(),
        }


def rule_pass(seen: Observation, limits: Thresholds = THRESHOLDS) -> RulePass:
    """Judge, say what was not judged, and diagnose. Pure."""
    findings = rules.judge(seen, limits)
    return RulePass(seen, findings, _unjudged(seen, findings, limits), diagnose(seen, findings, limits))


def _unjudged(seen: Observation, findings: Iterable[Finding], limits: Thresholds) -> tuple[Unjudged, ...]:
    off, found = node_time_is_wrong(seen, limits), {finding.code for finding in findings}
    silent = [rule for rule in rules.RULES if rule.code not in found]
    reasons = [(rule.code, OTHER_TIME if off and rule.of_subnet else rule.missing(seen, limits)) for rule in silent]
    return tuple(Unjudged(code, why) for code, why in reasons if why is not None)


def is_grave(code: str, severity: Severity) -> bool:
    """Whether a finding is critical and the operator can put it right.

    Then the doctor fails, the status is `degraded` and the dead man's switch stays silent. A rule that is not known
    here (the miner may be of a newer version) counts as the miner's own.
    """
    rule = next((rule for rule in rules.RULES if rule.code == code), None)
    return severity is Severity.CRITICAL and (rule is None or rule.fault.is_mendable)


def finding_words(finding: Finding) -> str:
    """`0.2 GiB of disk left. The file system of /srv has 0.2 GiB free of 500.0 GiB.`"""
    return f"{finding.title}. {' '.join(finding.evidence)}".strip()
