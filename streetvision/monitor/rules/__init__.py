"""The rules, in the order in which an operator should read their findings.

A rule is a function from an `Observation` and the thresholds (thresholds.py) to findings, listed at the end of its
file; docs/monitoring.md has a row for its code.
"""

from __future__ import annotations

from streetvision.monitor.derived import node_is_blind
from streetvision.monitor.finding import Finding, Rule
from streetvision.monitor.observation import Observation
from streetvision.monitor.rules.chain import CHAIN_RULES
from streetvision.monitor.rules.earning import EARNING_RULES
from streetvision.monitor.rules.endpoint import ENDPOINT_RULES
from streetvision.monitor.rules.machine import MACHINE_RULES
from streetvision.monitor.rules.model import MODEL_RULES
from streetvision.monitor.rules.process import PROCESS_RULES
from streetvision.monitor.rules.proxies import PROXY_RULES
from streetvision.monitor.rules.registration import REGISTRATION_RULES
from streetvision.monitor.rules.requests import REQUEST_RULES
from streetvision.monitor.rules.scores import SCORE_RULES
from streetvision.monitor.rules.subnet import SUBNET_RULES
from streetvision.monitor.thresholds import THRESHOLDS, Thresholds

RULES: tuple[Rule, ...] = (
    *REGISTRATION_RULES,
    *PROCESS_RULES,
    *SUBNET_RULES,
    *EARNING_RULES,
    *ENDPOINT_RULES,
    *PROXY_RULES,
    *REQUEST_RULES,
    *SCORE_RULES,
    *CHAIN_RULES,
    *MODEL_RULES,
    *MACHINE_RULES,
)
"""All of them; codes are unique."""


def judge(seen: Observation, limits: Thresholds = THRESHOLDS) -> tuple[Finding, ...]:
    """What is wrong now, the gravest first, else in the rules' order. Pure."""
    blind = node_is_blind(seen, limits)
    found = [finding for rule in RULES if not (blind and rule.of_subnet) for finding in rule.judge(seen, limits)]
    return tuple(sorted(found, key=lambda finding: -finding.severity))


def rule_of(code: str) -> Rule:
    """The rule with this code; KeyError for an unknown one."""
    return {rule.code: rule for rule in RULES}[code]
