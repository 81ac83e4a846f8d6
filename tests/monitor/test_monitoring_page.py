"""docs/monitoring.md says what the rules and the diagnosis say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from streetvision.monitor.diagnosis import Cause
from streetvision.monitor.rule import Rule
from streetvision.monitor.rules import RULES, rule_of

PAGE = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_rule_has_its_row(rule: Rule) -> None:
    assert f"| `{rule.code}` | {rule.severity.label} | {rule.meaning} | {rule.remedy} |" in PAGE
    assert rule_of(rule.code) is rule


def test_no_row_without_a_rule() -> None:
    table = PAGE.partition("## Rules")[2].partition("\n## ")[0]
    codes = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    assert codes == {rule.code for rule in RULES}


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_is_explained(cause: Cause) -> None:
    assert f"| `{cause.value}` |" in PAGE


def test_an_unknown_code_is_an_error() -> None:
    with pytest.raises(KeyError):
        rule_of("no_such_rule")
