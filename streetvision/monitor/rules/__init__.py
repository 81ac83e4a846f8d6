"""The rules. Each module here keeps its own in `RULES`, those of one evidence together: a new rule is one file."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules

from streetvision.monitor.derived import node_time_is_wrong
from streetvision.monitor.finding import Finding
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Rule
from streetvision.monitor.thresholds import THRESHOLDS, Thresholds


def collected(folders: Iterable[str]) -> tuple[Rule, ...]:
    """The rules of all modules in these folders, which must be on this package's path, by their order."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(folders)]
    return tuple(sorted((rule for module in modules for rule in module.RULES), key=lambda rule: rule.order))


RULES: tuple[Rule, ...] = collected(__path__)
"""All of them, in the order in which an operator should read their findings; codes are unique."""


def judge(seen: Observation, limits: Thresholds = THRESHOLDS) -> tuple[Finding, ...]:
    """All that is wrong now, the gravest first, else in the rules' order. Pure."""
    off = node_time_is_wrong(seen, limits)
    asked = [rule for rule in RULES if not (off and rule.of_subnet)]
    found = [finding for rule in asked for finding in rule.judge(seen, limits)]
    return tuple(sorted(found, key=lambda finding: -finding.severity))


def rule_of(code: str) -> Rule:
    """The rule with this code; KeyError for an unknown one."""
    return {rule.code: rule for rule in RULES}[code]
