"""Validators' pictures are refused."""

from __future__ import annotations

from collections.abc import Mapping

from streetvision.base.wording import duration, share
from streetvision.monitor.derived import IMAGE_REASONS, recent
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import REQUESTS, proves_after_requests
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.rules.requests_failing import commonest, gravity
from streetvision.monitor.thresholds import Thresholds

_IMAGE_FAULTS: Mapping[str, str] = {
    "bad_image": "unreadable",
    "image_too_large": "too large to decode",
    "too_large": "in too large a body",
}
_IMAGE_REMEDIES: Mapping[str, str] = {
    "bad_image": "See what they send: streetvision log tail --status 400. Pictures that other programs show: please "
    "report them.",
    "image_too_large": "Raise --engine.max_megapixels, or --engine.decode_memory_mib where the machine has the memory.",
    "too_large": "Raise --axon.max_body_mib, and the body limit of a proxy before the miner.",
}


def images_refused(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Validators' pictures are refused: too large for a limit, or unreadable."""
    hour = recent(seen, limits)
    reasons = commonest(hour, lambda reason: reason in IMAGE_REASONS)
    refused = sum(count for _, count in reasons)
    severity = gravity(refused, hour, limits)
    if severity is None:
        return []
    listed = ", ".join(f"{count} {_IMAGE_FAULTS[reason]}" for reason, count in reasons)
    worst = reasons[0][0]
    return [
        Finding(
            code="images_refused",
            severity=severity,
            title=f"{share(refused / hour.requests)} of the pictures are refused, mostly {_IMAGE_FAULTS[worst]}",
            evidence=(
                f"In the last {duration(seen.now - hour.start)} {refused} of {hour.requests} pictures: {listed}.",
                "Each scores 0 for its challenge.",
            ),
            remedy=_IMAGE_REMEDIES[worst],
            data={"refused": refused, "requests": hour.requests, "reason": worst},
        )
    ]


RULES = (
    Rule(
        code="images_refused",
        order=720,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="A tenth or more of the last hour's pictures were refused: too large for a limit, or unreadable",
        remedy="The limit to raise, which the finding names",
        judge=images_refused,
        needs=(REQUESTS,),
        absence=proves_after_requests,
    ),
)
