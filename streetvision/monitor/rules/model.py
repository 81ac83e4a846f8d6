"""Rules about the model that answers and the card that it is submitted with."""

from __future__ import annotations

from streetvision.base.wording import moment
from streetvision.monitor.finding import Finding, Rule, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.thresholds import DAY, Thresholds
from streetvision.subnet import AgeStage


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
            remedy="Train or choose a newer model and submit it: streetvision models publish (docs/hub.md).",
            since=model.created + window.ending_days * DAY,
            data={
                "days": round(days, 1),
                "version": model.version,
                "full_days": window.full_days,
                "max_days": window.max_days,
            },
        )
    ]


def card_foreign(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The card names another hotkey: the submission counts for somebody else."""
    model = seen.model
    if model is None or model.card_hotkey is None or model.card_hotkey == seen.hotkey:
        return []
    where = f" ({model.card_source})" if model.card_source else ""
    return [
        Finding(
            code="card_foreign",
            severity=Severity.CRITICAL,
            title="the model card names another hotkey than ours",
            evidence=(
                f"model_card.json{where} of {model.name} {model.version} says submitted_by {model.card_hotkey}; this "
                f"miner's hotkey is {seen.hotkey}.",
            ),
            remedy="Publish the model under this hotkey: streetvision models publish writes a card that names it.",
            data={"card_hotkey": model.card_hotkey, "version": model.version},
        )
    ]


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


MODEL_RULES = (
    Rule(
        "model_old",
        Severity.CRITICAL,
        "The model's age nears or exceeds the days that the subnet pays in full (45) or at all (90); both are settings",
        "Submit a newer one",
        model_old,
    ),
    Rule(
        "card_foreign",
        Severity.CRITICAL,
        "The model card's `submitted_by` is not this miner's hotkey",
        "Publish under this hotkey",
        card_foreign,
    ),
    Rule(
        "model_rolled_back",
        Severity.WARNING,
        "A canary was rolled back and the model before answers again",
        "Read `streetvision models status`",
        model_rolled_back,
    ),
)
