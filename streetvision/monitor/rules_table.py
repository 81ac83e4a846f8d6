"""The table of the rules in docs/monitoring.md, made of what they say of themselves."""

from __future__ import annotations

import re

from streetvision.monitor import rules

HEAD = "| code | severity | holds when | remedy |\n|---|---|---|---|\n"
_TABLE = re.compile(rf"{re.escape(HEAD)}(?:\|.*\n)*")


def rules_table() -> str:
    """Markdown, a row for each rule in their order."""
    rows = (f"| `{r.code}` | {r.severity.label} | {r.meaning} | {r.remedy} |\n" for r in rules.RULES)
    return HEAD + "".join(rows)


def with_rules_table(page: str) -> str:
    """The page with its table made anew; ValueError for a page without one."""
    made, count = _TABLE.subn(lambda _: rules_table(), page)
    if count != 1:
        raise ValueError(f"the page has {count} tables of rules, and must have one")
    return made
