"""The model nears the end of its pay."""

from __future__ import annotations

from streetvision.base.wording import moment
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import proves_after_card
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import DAY, Thresholds
from streetvision.subnet import AgeStage

_BY_HAND = "Train or choose a newer model and submit it: streetvision models publish (docs/hub.md)."
_NIGHTLY = (
    "`streetvision retrain history` says what came of the last nights. Submit what they made: streetvision models "
    "publish, or --retrain.publish from now on; where only the age counts, --retrain.accept not_worse "
    "(docs/retraining.md)."
)


def model_old(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The model nears the end of its reward window."""
    model = seen.model
    if model is None or model.created is None:
        return []
    days, window = (seen.now - model.created) / DAY, model.window
    words = window.words(days)
    if words is None:
        return []
    return [
        Finding(
            code="model_old",
            severity=Severity.CRITICAL if window.stage(days) is AgeStage.OVER else Severity.WARNING,
            title=f"the model is {days:.0f} days old, {words}",
            evidence=(
                f"{model.name} {model.version} was submitted {moment(model.created)}.",
                f"Models are announced to earn in full for {window.full_days:g} days (--model.full_pay_days), then "
                f"less, and from {window.max_days:g} days on nothing (--model.max_age_days).",
            ),
            remedy=_NIGHTLY if seen.retrain is not None and seen.retrain.configured else _BY_HAND,
            since=model.created + window.ending_days * DAY,
            data={
                "days": round(days, 1),
                "version": model.version,
                "full_days": window.full_days,
                "max_days": window.max_days,
            },
        )
    ]


_AGE = Need("the model's age is not known", lambda seen, _: seen.model is not None and seen.model.created is not None)

RULES = (
    Rule(
        code="model_old",
        order=1000,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="The model's age nears or exceeds the days that the subnet pays in full (45) or at all (90); both are"
        " settings",
        remedy="Submit a newer one",
        judge=model_old,
        needs=(_AGE,),
        check="model",
        absence=proves_after_card,
    ),
)
