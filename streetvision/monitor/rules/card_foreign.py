"""The model counts for somebody else."""

from __future__ import annotations

from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import proves_after_card
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import Thresholds


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


_CARD = Need("no model card was read", lambda seen, _: seen.model is not None and seen.model.card_hotkey is not None)

RULES = (
    Rule(
        code="card_foreign",
        order=1010,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="The model card's `submitted_by` is not this miner's hotkey",
        remedy="Publish under this hotkey",
        judge=card_foreign,
        needs=(_CARD,),
        check="card",
        absence=proves_after_card,
    ),
)
