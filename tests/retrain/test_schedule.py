"""When runs are due, and a service that begins one at a time as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streetvision.errors import OperatorError
from streetvision.retrain import schedule
from streetvision.retrain.schedule import end, next_time, serve, trigger_of, weekdays
from streetvision.settings.parsing import parse_cron

from .fakes import needs_schedule

pytestmark = needs_schedule

MONDAY = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "due"),
    [
        ("0 2 * * *", "2026-12-01 02:00"),
        ("30 12 * * *", "2026-11-30 12:30"),
        ("0 2 * * 0", "2026-12-06 02:00"),
        ("0 2 * * 7", "2026-12-06 02:00"),
        ("0 2 * * sun", "2026-12-06 02:00"),
        ("0 2 * * 1-5", "2026-12-01 02:00"),
        ("0 2 * * 2-6/2", "2026-12-01 02:00"),
        ("0 2 15 * *", "2026-12-15 02:00"),
        ("*/15 * * jan *", "2027-01-01 00:00"),
    ],
)
def test_times_are_those_of_cron_in_utc(cron: str, due: str) -> None:
    assert f"{next_time(parse_cron(cron), MONDAY):%Y-%m-%d %H:%M}" == due


def test_days_of_the_week_are_counted_as_cron_does() -> None:
    assert weekdays("*") == "*"
    assert weekdays("0,7,1-3") == "sun,mon,tue,wed"
    assert weekdays("*/3") == "sun,wed,sat"
    assert weekdays("fri-7") == "sun,fri,sat"


def test_jitter_makes_it_later_and_never_earlier() -> None:
    trigger, due = trigger_of("0 2 * * *", 600.0), datetime(2026, 12, 1, 2, tzinfo=UTC)
    delays = [(trigger.get_next_fire_time(None, MONDAY) - due).total_seconds() for _ in range(50)]
    assert 0 <= min(delays) < max(delays) <= 600


def test_a_day_that_never_comes_is_told() -> None:
    with pytest.raises(OperatorError, match=r"0 2 30 2 \* never comes"):
        next_time("0 2 30 2 *", MONDAY)


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apscheduler.triggers.cron", None)
    with pytest.raises(OperatorError, match=r"pip install 'streetvision\[retrain\]'"):
        next_time("0 2 * * *", MONDAY)


def noting(file: Path, seconds: float = 0.0) -> list[str]:
    """A command that adds a line to a file, and another when it is asked to stop or has slept."""
    script = f"""
import signal, sys, time
note = lambda word: open({str(file)!r}, "a").write(word + chr(10))
signal.signal(signal.SIGTERM, lambda *_: (note("stopped"), sys.exit(0)))
note("begun")
time.sleep({seconds})
note("done")
"""
    return [sys.executable, "-c", script]


@pytest.fixture
def due_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule that is due ten times a second."""
    from apscheduler.triggers.interval import IntervalTrigger

    often = IntervalTrigger(seconds=1)
    often.interval, often.interval_length = timedelta(seconds=0.1), 0.1
    monkeypatch.setattr(schedule, "trigger_of", lambda *_: often)
    monkeypatch.setattr(schedule, "next_time", lambda *_: MONDAY)


def ending_when(there: Callable[[], bool]) -> threading.Thread:
    """Sends this process SIGTERM as soon as something is there."""

    def watch() -> None:
        wait = threading.Event()
        while not there():
            wait.wait(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.usefixtures("due_now")
def test_the_service_begins_runs_one_after_the_other_until_it_is_ended(tmp_path: Path) -> None:
    file, told, noted = tmp_path / "notes", list[str](), list[str]()
    before = signal.getsignal(signal.SIGTERM)
    watching = ending_when(lambda: file.exists() and file.read_text().count("done") >= 2)
    serve("0 2 * * *", 0.0, noting(file), told.append, noted.append)
    watching.join()
    lines = file.read_text().split()
    assert lines == ["begun", "done"] * (len(lines) // 2), "two runs never overlap"
    due = "next run at 2026-11-30 12:00 UTC"
    assert noted[:2] == ["2026-11-30T12:00:00+00:00"] * 2, "before each run, and after it"
    assert told[:4] == [due, "a run begins", "the run ended with exit code 0", due]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.usefixtures("due_now")
def test_a_service_that_is_ended_stops_its_run(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    watching = ending_when(lambda: file.exists() and "begun" in file.read_text())
    serve("0 2 * * *", 0.0, noting(file, seconds=600), lambda _: None, lambda _: None)
    watching.join()
    assert file.read_text().split() == ["begun", "stopped"]


def test_a_run_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('.', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b".\n"
        end(child, patience_s=0.1)
        assert child.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("hours", "begins"), [(3.0, True), (5.9, True), (6.1, False)])
def test_a_machine_that_slept_over_the_hour_begins_the_run_when_it_wakes_up(
    monkeypatch: pytest.MonkeyPatch, hours: float, begins: bool
) -> None:
    """Asleep, the clock goes on and the time that waiting takes does not."""
    from apscheduler.executors import base as executing
    from apscheduler.schedulers import base as scheduling

    slept = [timedelta(0)]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2026, 12, 1, 1, 59, 59, tzinfo=UTC).astimezone(tz) + slept[0]

    for module in (executing, scheduling):
        monkeypatch.setattr(module, "datetime", Clock)
    with schedule._due("0 2 * * *", 0.0) as due:
        assert not due.wait(0.1)
        slept[0] = timedelta(hours=hours)
        assert due.wait(0.5) is begins
