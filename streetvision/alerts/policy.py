"""How the alerts judge: by the operator's settings, and by whether an absent finding proves that all is well."""

from __future__ import annotations

from math import isfinite
from zoneinfo import ZoneInfo

from streetvision.alerts.schedule import AlertPolicy, Hours, minutes
from streetvision.monitor import rules
from streetvision.monitor.derived import node_time_is_wrong
from streetvision.monitor.observation import Observation
from streetvision.monitor.thresholds import HOUR, THRESHOLDS
from streetvision.settings.alerts import AlertSettings
from streetvision.settings.parsing import NEVER


def unproven(seen: Observation) -> frozenset[str]:
    """Codes that may be absent only because the miner has just begun to look, or because its node lags."""
    unread = seen.latest is None or seen.snapshot_age is None or not isfinite(seen.snapshot_age)
    off = unread or node_time_is_wrong(seen, THRESHOLDS)
    return frozenset(rule.code for rule in rules.RULES if not rule.absence(seen) or (off and rule.of_subnet))


def policy_of(settings: AlertSettings) -> AlertPolicy:
    """The policy that the operator's settings ask for."""
    quiet = settings.quiet_hours
    start, _, end = quiet.partition("-")
    hours = Hours(
        quiet=(minutes(start), minutes(end)) if quiet else None,
        digest=None if settings.digest == NEVER else minutes(settings.digest),
        zone=ZoneInfo(settings.time_zone) if settings.time_zone else None,
    )
    news = frozenset(rule.code for rule in rules.RULES if rule.news) if settings.news else frozenset()
    return AlertPolicy(reminder_s=settings.reminder_hours * HOUR, hours=hours, news=news)
