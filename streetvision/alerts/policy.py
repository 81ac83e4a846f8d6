"""How the alerts judge: the operator's settings as a policy, and what an absent finding proves."""

from __future__ import annotations

from math import isfinite
from zoneinfo import ZoneInfo

from streetvision.alerts.schedule import AlertPolicy, Hours, minutes
from streetvision.monitor.derived import node_is_blind
from streetvision.monitor.observation import Observation
from streetvision.monitor.rules import RULES
from streetvision.monitor.thresholds import DAY, HOUR, THRESHOLDS
from streetvision.settings.alerts import AlertSettings
from streetvision.settings.parsing import NEVER

NEEDS_REQUESTS = frozenset(
    {
        "no_requests",
        "endpoint_unreachable",
        "requests_failing",
        "images_refused",
        "latency_near_deadline",
        "one_class",
        "score_drift",
        "clock_skew",
        "node_lags",
        "node_ahead",
    }
)
"""Silent after a restart until validators have asked, or should have."""
NEEDS_CHAIN = frozenset(rule.code for rule in RULES if rule.of_subnet)
"""Silent until the chain was read, and while its node lags."""
NEEDS_MODEL = frozenset({"model_old", "card_foreign", "model_rolled_back"})
SILENCE_S = 6 * HOUR
"""Long enough for any silence to be noticed anew."""
GRACE_S = 20 * 60.0
"""The rule about the endpoint waits a quarter of an hour after a start."""
CARD_S = 10 * 60.0
"""The card is looked at on the hub soon after a start."""


def unproven(seen: Observation) -> frozenset[str]:
    """Codes that may be absent only because the miner has just begun to look."""
    since = seen.traffic.listening_since
    listened = 0.0 if since is None else seen.now - since
    codes: set[str] = set()
    if not seen.traffic.seen and listened < SILENCE_S:
        codes |= NEEDS_REQUESTS
    if listened < DAY + HOUR:
        codes.add("validator_silent")
    if listened < GRACE_S:
        codes.add("endpoint_differs")
    unread = seen.latest is None or seen.snapshot_age is None or not isfinite(seen.snapshot_age)
    if unread or node_is_blind(seen, THRESHOLDS):
        codes |= NEEDS_CHAIN
    if seen.model is None or listened < CARD_S:
        codes |= NEEDS_MODEL
    return frozenset(codes)


def policy_of(settings: AlertSettings) -> AlertPolicy:
    """What the operator wants."""
    quiet = settings.quiet_hours
    start, _, end = quiet.partition("-")
    hours = Hours(
        quiet=(minutes(start), minutes(end)) if quiet else None,
        digest=None if settings.digest == NEVER else minutes(settings.digest),
        zone=ZoneInfo(settings.time_zone) if settings.time_zone else None,
    )
    return AlertPolicy(reminder_s=settings.reminder_hours * HOUR, hours=hours)
