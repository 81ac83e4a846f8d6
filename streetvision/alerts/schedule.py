"""When to tell the operator: a pure state machine over the findings of each pass.

    quiet ──holds long enough──▶ told ──critical for long enough──▶ told as worse
      ▲                            │ ▲                               (easing is not told)
      └──gone for long enough──────┘ └── a reminder now and then

A finding that comes and goes is told of less and less: each return within a day doubles the time that it must be gone
before the next recovery is told. Messages that must wait (quiet hours, too many this hour) are not forgotten: the state
alone says which are due, and they go out together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo

from streetvision.alerts.alert import AlertItem, Change
from streetvision.alerts.state import AlertState, Tracked
from streetvision.monitor import rules
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.thresholds import DAY, HOUR
from streetvision.settings.alerts import AlertSettings


@dataclass(frozen=True, slots=True)
class Hours:
    """Times of day in minutes after midnight."""

    quiet: tuple[int, int] | None = None
    """Begin and end, over midnight where the end is the smaller; None: never quiet."""
    digest: int | None = None
    """None: no digest."""
    zone: tzinfo | None = UTC
    """None: this machine's."""

    def is_quiet(self, now: float) -> bool:
        """Whether warnings wait."""
        if self.quiet is None:
            return False
        start, end = self.quiet
        minute = self._minute(now)
        return start <= minute < end if start < end else minute >= start or minute < end

    def day(self, now: float) -> str:
        """The date of the digest that is due by now: that of yesterday before its time of day."""
        local = self._local(now)
        ordinal = local.toordinal() - (self.digest is None or self._minute(now) < self.digest)
        return datetime.fromordinal(max(1, ordinal)).date().isoformat()

    def _local(self, now: float) -> datetime:
        moment = datetime.fromtimestamp(now, UTC)
        return moment.astimezone(self.zone)

    def _minute(self, now: float) -> int:
        local = self._local(now)
        return 60 * local.hour + local.minute


def minutes(clock: str) -> int:
    """Minutes after midnight of `HH:MM`; ValueError for anything else."""
    hour, minute = clock.split(":")
    return 60 * int(hour) + int(minute)


MAX_TRACKED = 512
"""More than all rules find at once, each validator included."""
MAX_EVENTS = 100
"""Kept for the digest."""
MAX_DOUBLINGS = 7
"""300 s become half a day."""
_ORDER = (Change.WORSE, Change.RAISED, Change.REMINDER, Change.RECOVERED)


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """Waiting times and limits of the alerts; seconds."""

    hold_s: Mapping[Severity, float] = field(default_factory=lambda: {Severity.WARNING: 300.0, Severity.CRITICAL: 60.0})
    """A finding must hold for so long before it is told, three passes at least."""
    clear_s: float = 300.0
    """It must be gone for so long before its recovery is told."""
    at_once: frozenset[str] = field(default_factory=lambda: frozenset(r.code for r in rules.RULES if r.at_once))
    """Codes of findings that neither come and go nor leave time to wait: they are told at the first pass."""
    news: frozenset[str] = field(default_factory=lambda: frozenset(r.code for r in rules.RULES if r.news))
    """Codes of good news: told once, at the first pass out of quiet hours; neither reminders nor an end follow."""
    reminder_s: float = AlertSettings.reminder_hours * HOUR
    """Between two messages about a critical finding that lasts, four times that for a warning; 0: none."""
    gap_s: float = 300.0
    """After a break this long (the miner was down, the machine slept) nothing counts as having held."""
    memory_s: float = DAY
    """A finding that returns within this time of its recovery counts as coming back."""
    per_hour: int = 12
    """Most messages in an hour, twice as many with something critical; what is due beyond it goes out together."""
    hours: Hours = field(default_factory=Hours)

    def reminder_after(self, severity: Severity) -> float:
        """Seconds; infinite for never."""
        if self.reminder_s <= 0:
            return float("inf")
        return self.reminder_s * (1 if severity is Severity.CRITICAL else 4)

    def patience(self, tracked: Tracked) -> float:
        """Seconds for which this finding must be gone, or less grave, to count as such."""
        return float(self.clear_s * 2 ** min(tracked.flaps, MAX_DOUBLINGS))


def advance(
    state: AlertState,
    findings: Iterable[Finding],
    now: float,
    policy: AlertPolicy,
    *,
    unproven: frozenset[str] = frozenset(),
) -> tuple[AlertState, tuple[AlertItem, ...]]:
    """One pass: the next state, and the items of one message (mostly none).

    `unproven` are codes whose absence proves nothing yet, such as silence shortly after a start.
    """
    present = {one.key: one for one in findings if one.severity >= Severity.WARNING or one.code in policy.news}
    known = {key: _resumed(tracked, state, now, policy) for key, tracked in state.tracked.items()}
    tracked, passed = _updated(known, present, now, policy, unproven)
    sent = tuple(time for time in state.sent if now - HOUR < time <= now)
    items: list[AlertItem] = []
    for key, change in _allowed(tracked, len(sent), now, policy).items():
        tracked[key], item = _told(tracked[key], change, now, policy)
        items.append(item)
    items.sort(key=lambda item: (_ORDER.index(item.change), -item.finding.severity, item.began))
    events = tuple(e for e in (*state.events, *passed, *items) if now - DAY < e.at <= now)[-MAX_EVENTS:]
    sent = (*sent, now) if items else sent
    return AlertState(tracked, now, sent, events, state.digest_day), tuple(items)


def digest_due(state: AlertState, now: float, hours: Hours) -> tuple[AlertState, bool]:
    """Whether the daily digest is due, once a day; one that was missed while the miner was down comes late.

    A day that lies ahead by more than one was written by a wrong clock: the digests begin anew from today.
    """
    day, before = hours.day(now), state.digest_day
    due = hours.digest is not None and before is not None and day > before
    begin = before is None or before > hours.day(now + DAY)
    return replace(state, digest_day=day if due or begin else before), due


def _allowed(tracked: Mapping[str, Tracked], sent: int, now: float, policy: AlertPolicy) -> dict[str, Change]:
    """All that is due, unless too many messages were sent already; something critical may still be told then."""
    quiet = policy.hours.is_quiet(now)
    due = {key: _due(one, now, policy, quiet=quiet) for key, one in tracked.items()}
    found = {key: change for key, change in due.items() if change is not None}
    urgent = any(
        change in (Change.RAISED, Change.WORSE) and tracked[key].finding.severity is Severity.CRITICAL
        for key, change in found.items()
    )
    return found if sent < policy.per_hour * (2 if urgent else 1) else {}


def _updated(
    known: Mapping[str, Tracked],
    present: Mapping[str, Finding],
    now: float,
    policy: AlertPolicy,
    unproven: frozenset[str],
) -> tuple[dict[str, Tracked], list[AlertItem]]:
    """Every finding after this pass, and those that came and went unsaid."""
    tracked: dict[str, Tracked] = {}
    passed: list[AlertItem] = []
    for key, before in known.items():
        if key in present:
            tracked[key] = _seen(before, present[key], now, policy)
            continue
        if before.announced is None and before.gone_since is None and _level(before, now, policy) is not None:
            passed.append(_item(before, Change.PASSED, before.finding.severity, now))
        if before.finding.code in policy.news - unproven:
            continue
        after = _absent(before, now, proven=before.finding.code not in unproven)
        if after.announced is not None or (after.calmed_at is not None and now - after.calmed_at < policy.memory_s):
            tracked[key] = after
    for key, finding in present.items():
        if key not in tracked and len(tracked) < MAX_TRACKED:
            tracked[key] = _first(finding, now)
    return tracked, passed


def _first(finding: Finding, now: float) -> Tracked:
    return Tracked(
        finding=finding,
        began=_began(finding, now),
        present_since=now,
        critical_since=now if finding.severity is Severity.CRITICAL else None,
    )


def _began(finding: Finding, now: float) -> float:
    return now if finding.since is None else min(now, finding.since)


def _seen(before: Tracked, finding: Finding, now: float, policy: AlertPolicy) -> Tracked:
    """It holds in this pass."""
    if before.announced is None and before.gone_since is not None:
        return replace(_first(finding, now), calmed_at=before.calmed_at, flaps=before.flaps)
    critical = finding.severity is Severity.CRITICAL
    after = replace(
        before,
        finding=finding,
        present_since=before.present_since if before.gone_since is None else now,
        critical_since=(before.critical_since or now) if critical else None,
        gone_since=None,
    )
    return _eased(after, now, policy)


def _eased(tracked: Tracked, now: float, policy: AlertPolicy) -> Tracked:
    """A finding told as critical that has long been a warning may become worse anew; the easing is not told."""
    if tracked.announced is None or tracked.finding.severity >= tracked.announced:
        return replace(tracked, eased_since=None)
    since = now if tracked.eased_since is None else tracked.eased_since
    if now - since < policy.patience(tracked):
        return replace(tracked, eased_since=since)
    return replace(tracked, eased_since=None, announced=tracked.finding.severity, calmed_at=now)


def _absent(before: Tracked, now: float, *, proven: bool) -> Tracked:
    since = before.gone_since if before.gone_since is not None and proven else now
    return replace(before, gone_since=since, critical_since=None, eased_since=None)


def _resumed(tracked: Tracked, state: AlertState, now: float, policy: AlertPolicy) -> Tracked:
    """After a break, or when the clock was set back, nothing has held or been gone for any time."""
    if state.stepped_at is not None and 0 <= now - state.stepped_at <= policy.gap_s:
        return tracked
    return replace(
        tracked,
        began=min(now, tracked.began),
        present_since=now,
        critical_since=None if tracked.critical_since is None else now,
        gone_since=None if tracked.gone_since is None else now,
        eased_since=None if tracked.eased_since is None else now,
        told_at=min(now, tracked.told_at),
        calmed_at=None if tracked.calmed_at is None else min(now, tracked.calmed_at),
    )


def _level(tracked: Tracked, now: float, policy: AlertPolicy) -> Severity | None:
    """The severity held long enough to announce, or None."""
    if tracked.finding.code in policy.at_once | policy.news:
        return tracked.finding.severity
    since = tracked.critical_since
    if since is not None and now - since >= policy.hold_s[Severity.CRITICAL]:
        return Severity.CRITICAL
    return Severity.WARNING if now - tracked.present_since >= policy.hold_s[Severity.WARNING] else None


def _due(tracked: Tracked, now: float, policy: AlertPolicy, *, quiet: bool) -> Change | None:
    """The change to tell of now; None for none."""
    if tracked.announced is not None and tracked.finding.code in policy.news:
        return None
    if tracked.gone_since is not None:
        over = tracked.announced is not None and now - tracked.gone_since >= policy.patience(tracked)
        return Change.RECOVERED if over and not (quiet and tracked.announced is Severity.WARNING) else None
    level = _level(tracked, now, policy)
    if level is None or (quiet and level < Severity.CRITICAL):
        return None
    if tracked.announced is None:
        return Change.RAISED
    if level > tracked.announced:
        return Change.WORSE
    late = now - tracked.told_at >= policy.reminder_after(tracked.finding.severity)
    return Change.REMINDER if late and not (quiet and tracked.finding.severity is Severity.WARNING) else None


def _told(tracked: Tracked, change: Change, now: float, policy: AlertPolicy) -> tuple[Tracked, AlertItem]:
    """The finding after its change was told, and the item that tells it."""
    if change is Change.RECOVERED:
        item = _item(tracked, change, tracked.announced or tracked.finding.severity, tracked.gone_since or now)
        return replace(tracked, announced=None, told_at=now, calmed_at=now), item
    severity = tracked.finding.severity
    level = severity if change is Change.REMINDER else _level(tracked, now, policy) or severity
    back = change is not Change.REMINDER and tracked.calmed_at is not None
    back = back and now - (tracked.calmed_at or 0.0) < policy.memory_s
    after = replace(
        tracked,
        announced=max(level, tracked.announced or level),
        told_at=now,
        flaps=min(MAX_DOUBLINGS, tracked.flaps + 1) if back else tracked.flaps,
    )
    return after, _item(tracked, change, level, now)


def _item(tracked: Tracked, change: Change, severity: Severity, at: float) -> AlertItem:
    return AlertItem(
        change=change,
        finding=replace(tracked.finding, severity=severity),
        began=tracked.began,
        at=at,
    )
