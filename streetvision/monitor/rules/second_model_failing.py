"""The second member of a router fails, and the first answers alone."""

from __future__ import annotations

from streetvision.base.wording import duration, share
from streetvision.models.router import RouterOutcome
from streetvision.monitor.derived import recent
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import REQUESTS, proves_after_requests
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.thresholds import Thresholds


def second_model_failing(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Of the pictures that the second member was asked about, too many failed in it."""
    hour = recent(seen, limits)
    failed = hour.router.get(RouterOutcome.FAILED, 0)
    asked = failed + hour.router.get(RouterOutcome.ASKED, 0)
    if failed < limits.failing_requests or failed < limits.failing_share * asked:
        return []
    return [
        Finding(
            code="second_model_failing",
            severity=Severity.WARNING,
            title=f"the second model fails on {share(failed / asked)} of the pictures it is asked about",
            evidence=(
                f"In the last {duration(seen.now - hour.start)} it failed on {failed} of {asked}; the first model's "
                "answers stood.",
                "Every request was answered, but without what the second model would have added.",
            ),
            remedy="Read the log for its error and check the device's memory; until it is healed, let the first model "
            "serve alone: streetvision models swap.",
            data={"failed": failed, "asked": asked},
        )
    ]


RULES = (
    Rule(
        code="second_model_failing",
        order=735,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="The second model of a router failed on a tenth or more of what it was asked in the last hour",
        remedy="Read the log; let the first model serve alone until it is healed",
        judge=second_model_failing,
        needs=(REQUESTS,),
        absence=proves_after_requests,
    ),
)
