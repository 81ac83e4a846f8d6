"""When runs begin: cron's five fields in UTC, by APScheduler; each run is a process of its own."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from streetvision.errors import OperatorError

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MISSED_S = 6 * 3600
"""A machine that slept over the hour still begins the run when it wakes up within so many seconds."""
STOP_S = 240.0
"""Longest wait for a run that was asked to stop, which may be saving what it has learned; it is killed then."""
LOOK_S = 1.0
"""Seconds between two looks at the clock, at signals and at a run that is going."""
ENDING = (signal.SIGINT, signal.SIGTERM)


def weekdays(field: str) -> str:
    """Cron's days of the week (0 and 7 are Sunday) as APScheduler's names, which it counts from Monday."""
    if field == "*":
        return field
    days = sorted({day % 7 for part in field.split(",") for day in _days(part)})
    return ",".join(_DAYS[day] for day in days)


def _days(part: str) -> range:
    span, _, step = part.partition("/")
    ends = [_DAYS.index(end) if end in _DAYS else int(end) for end in span.split("-")] if span != "*" else [0, 6]
    return range(ends[0], ends[-1] + 1, int(step or 1))


def trigger_of(cron: str, jitter_s: float = 0.0) -> Any:  # noqa: ANN401 - an APScheduler trigger; the extra may be missing
    """Fires by the five fields, up to `jitter_s` later; raises OperatorError without the extra."""
    try:
        from apscheduler.triggers.cron import CronTrigger
    except ModuleNotFoundError as error:
        raise OperatorError(
            "the schedule needs the extra `retrain`, and apscheduler is not there: pip install 'streetvision[retrain]'"
        ) from error
    minute, hour, day, month, weekday = cron.split()
    return CronTrigger(
        minute=minute,
        hour=hour,
        day=day,
        month=month,
        day_of_week=weekdays(weekday),
        timezone=UTC,
        jitter=int(jitter_s) or None,
    )


def next_time(cron: str, now: datetime) -> datetime:
    """When a run is due next, before jitter; raises OperatorError without the extra, or for a day that never comes."""
    found: datetime | None = trigger_of(cron).get_next_fire_time(None, now)
    if found is None:
        raise OperatorError(f"--retrain.schedule {cron} never comes: name another")
    return found


def serve(
    cron: str, jitter_s: float, command: Sequence[str], tell: Callable[[str], None], note: Callable[[str], None]
) -> None:
    """Run `command` whenever it is due, one at a time, until SIGTERM or SIGINT, which stop a run that is going.

    `note` is given the time of the next run, ISO 8601 in UTC, whenever it changes.
    """
    ending = threading.Event()
    with _signals(ending), _due(cron, jitter_s) as due:
        while not ending.is_set():
            due_at = next_time(cron, datetime.now(UTC))
            note(due_at.isoformat(timespec="seconds"))
            tell(_next_words(due_at, jitter_s))
            while not (due.wait(LOOK_S) or ending.is_set()):
                pass
            if not ending.is_set():
                _carry_out(command, ending, tell)
                due.clear()  # what fell due meanwhile is done by this run


def _next_words(due_at: datetime, jitter_s: float) -> str:
    later = f", or up to {jitter_s / 60:g} min later" if jitter_s else ""
    return f"next run at {due_at:%Y-%m-%d %H:%M} UTC{later}"


class Due(threading.Event):
    """Set whenever a run is due."""

    def __init__(self, scheduler: Any) -> None:  # noqa: ANN401 - APScheduler's, which may be missing
        super().__init__()
        self._scheduler = scheduler

    def wait(self, timeout: float | None = None) -> bool:
        """As an event does; lets the scheduler look at the clock, which goes on while a machine sleeps."""
        self._scheduler.wakeup()
        return super().wait(timeout)


@contextmanager
def _due(cron: str, jitter_s: float) -> Iterator[Due]:
    trigger = trigger_of(cron, jitter_s)
    from apscheduler.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(timezone=UTC)
    due = Due(scheduler)
    scheduler.add_job(due.set, trigger, coalesce=True, max_instances=1, misfire_grace_time=MISSED_S)
    scheduler.start()
    try:
        yield due
    finally:
        scheduler.shutdown(wait=False)


def _carry_out(command: Sequence[str], ending: threading.Event, tell: Callable[[str], None]) -> None:
    """One run, to its end or to ours."""
    tell("a run begins")
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.DEVNULL, start_new_session=True
    ) as child:
        while child.poll() is None:
            if ending.wait(LOOK_S):
                end(child)
        tell(f"the run ended with exit code {child.returncode}")


def end(child: subprocess.Popen[bytes], patience_s: float = STOP_S) -> None:
    """Ask a run to stop; kill one that does not."""
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(patience_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@contextmanager
def _signals(ending: threading.Event) -> Iterator[None]:
    before = [signal.signal(one, lambda *_: ending.set()) for one in ENDING]
    try:
        yield
    finally:
        for one, handler in zip(ENDING, before, strict=True):
            signal.signal(one, handler)
