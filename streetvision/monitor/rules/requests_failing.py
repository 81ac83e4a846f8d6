"""Validators ask and get errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from streetvision.base.wording import duration, share
from streetvision.monitor.derived import IMAGE_REASONS, LATE_REASONS, recent
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import REQUESTS, proves_after_requests
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.thresholds import Thresholds
from streetvision.monitor.traffic import TrafficBucket

_CHANGED = "Bodies arrive cut or changed: see what a proxy before the axon does to them (docs/proxies.md)."
_REMEDIES: Mapping[str, str] = {
    "bad_json": _CHANGED,
    "body_hash": _CHANGED,
    "missing_image": _CHANGED,
    "slow_body": "Bodies arrive too slowly: look at the line, and at a proxy that buffers them (docs/proxies.md).",
    "too_large": "Raise --axon.max_body_mib, and the limit of a proxy before the axon.",
    "closed": "The engine is closed: restart the miner and read the end of its log.",
    "device": "The GPU is lost to the miner: look for Xid lines in dmesg, check nvidia-smi, restart the miner.",
    "disconnected": "Callers leave before the answer: look at latency (streetvision log stats) and at the line.",
    "internal": "A defect in the miner: please report the traceback in its log; go back to the version before.",
    "no_metagraph": "The chain was never read: check --subtensor.network and the connection.",
    "quota": "Raise --axon.requests_per_minute.",
    "runner": "The model fails: read the log, check the GPU (nvidia-smi), restart; go back to the model before.",
}
_UNKNOWN_REASON = "Read the miner's log for this reason; streetvision log tail shows the requests."
TOO_SLOW = "The miner is too slow for its load: end other work on this machine, choose a smaller model, or a GPU."


def requests_failing(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Validators ask and get errors, those about their pictures apart."""
    hour = recent(seen, limits)
    reasons = commonest(hour, lambda reason: reason not in IMAGE_REASONS)
    failed = sum(count for _, count in reasons)
    severity = gravity(failed, hour, limits)
    if severity is None:
        return []
    listed = ", ".join(f"{count} x {reason}" for reason, count in reasons[:5])
    worst = reasons[0][0]
    return [
        Finding(
            code="requests_failing",
            severity=severity,
            title=f"{share(failed / hour.requests)} of requests get no answer, mostly {worst}",
            evidence=(
                f"In the last {duration(seen.now - hour.start)} {failed} of {hour.requests} requests failed: {listed}.",
                "Each scores 0 for its challenge.",
            ),
            remedy=TOO_SLOW if worst in LATE_REASONS else _REMEDIES.get(worst, _UNKNOWN_REASON),
            data={"failed": failed, "requests": hour.requests, "reason": worst},
        )
    ]


def commonest(hour: TrafficBucket, chosen: Callable[[str], bool]) -> list[tuple[str, int]]:
    """The chosen reasons for which requests failed, with their counts, the commonest first."""
    return sorted(((reason, n) for reason, n in hour.failed.items() if chosen(reason)), key=lambda item: -item[1])


def gravity(failed: int, hour: TrafficBucket, limits: Thresholds) -> Severity | None:
    """How grave it is that so many of the hour's requests failed; None when they are too few to tell."""
    if hour.requests < limits.failing_requests or failed < limits.failing_share * hour.requests:
        return None
    return Severity.CRITICAL if failed >= limits.failing_critical * hour.requests else Severity.WARNING


RULES = (
    Rule(
        code="requests_failing",
        order=710,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="A tenth or more of the last hour's requests got no answer, for another reason than their picture",
        remedy="Depends on the commonest reason, which the finding names",
        judge=requests_failing,
        needs=(REQUESTS,),
        absence=proves_after_requests,
    ),
)
