"""How retraining stands, read from a real log: what is shown of it, and what its rules find."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streetvision.alerts.policy import unproven
from streetvision.base.state_folder import only_one
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import ModelView, Observation, RolloutView
from streetvision.monitor.retrain_reading import read_retraining
from streetvision.monitor.retraining import RetrainView, RunView, run_words
from streetvision.monitor.rules import judge, rule_of
from streetvision.monitor.thresholds import DAY
from streetvision.monitor.traffic import Traffic
from streetvision.retrain_log.records import (
    TRAFFIC,
    GateVerdict,
    RunRecord,
    RunState,
    Spending,
    StepName,
)
from streetvision.retrain_log.schema import DATABASE, FOLDER, LOCK, SCHEDULE_LOCK
from streetvision.retrain_log.store import RetrainStore
from streetvision.settings.retrain import RetrainSettings

Make = Callable[..., Any]
WANTED = RetrainSettings(frozen="held", datasets="streets")
BEGAN, ENDED = "2026-11-30T02:00:00+00:00", "2026-11-30T03:30:00+00:00"
AT = datetime(2026, 11, 30, 4, tzinfo=UTC).timestamp()
RUN = RunRecord("20261130-0200", BEGAN, "schedule", baseline="1.0.0")


@pytest.fixture
def store(tmp_path: Path) -> RetrainStore:
    return RetrainStore(tmp_path / FOLDER)


def read(folder: Path, wanted: RetrainSettings = WANTED) -> RetrainView:
    view = read_retraining(folder, wanted, AT)
    assert view is not None
    return view


def ended(store: RetrainStore, state: RunState, step: StepName | None = None, **changes: str) -> None:
    """A run that ended so in a step."""
    store.add(RUN)
    if step is not None:
        store.begin_step(RUN.id, step, BEGAN)
    store.end(replace(RUN, state=state, ended=ENDED, **changes), step)


# -- reading -----------------------------------------------------------------------------------------------------------


def test_nothing_is_read_where_retraining_is_not_used(tmp_path: Path) -> None:
    assert read_retraining(tmp_path, RetrainSettings(), AT) is None
    assert read(tmp_path) == RetrainView(counts=dict.fromkeys(map(str, RunState), 0))
    assert not list(tmp_path.iterdir())


def test_a_log_is_shown_though_nothing_is_configured_any_more(tmp_path: Path, store: RetrainStore) -> None:
    ended(store, RunState.FAILED, StepName.TRAIN)
    view = read(tmp_path, RetrainSettings())
    assert (view.configured, view.last is not None) == (False, True)


def test_a_night_that_could_not_begin_is_told_as_the_last_run(tmp_path: Path, store: RetrainStore) -> None:
    ended(store, RunState.PROMOTED, StepName.PROMOTE)
    noted = replace(RUN, id="20261201-0200", state=RunState.FAILED, ended=ENDED, reason="There is no dataset 'held'")
    store.add(noted)
    assert store.latest_begun() == store.run(RUN.id)
    view = read(tmp_path)
    assert view.last is not None
    assert (view.last.id, view.last.state, view.last.step) == (noted.id, "failed", "")


def test_all_that_the_log_says(tmp_path: Path, store: RetrainStore) -> None:
    ended(store, RunState.REFUSED, StepName.EVALUATE, reason="it is worse", remedy="label more")
    store.add_verdict(GateVerdict(RUN.id, StepName.EVALUATE, "latest_labels", True, "up", ENDED, {"improved": True}))
    store.spend(RUN.id, StepName.TRAIN, Spending(1.5, 3.0), BEGAN)
    store.spend(RUN.id, StepName.TRAIN, Spending(9.0, 9.0), "2026-10-31T23:59:59+00:00")
    store.note_next("2026-12-01T02:00:00+00:00")
    with only_one(store.folder, SCHEDULE_LOCK):
        view = read(tmp_path)
    began, end = (datetime.fromisoformat(time).timestamp() for time in (BEGAN, ENDED))
    assert view.last == RunView(RUN.id, "refused", began, end, "evaluate", "it is worse", "label more", gain="up")
    assert (view.month_gpu_hours, view.month_money, view.decided_at) == (1.5, 3.0, end)
    assert view.next_run == datetime(2026, 12, 1, 2, tzinfo=UTC).timestamp()
    assert {state: count for state, count in view.counts.items() if count} == {"refused": 1}


def test_a_service_that_has_ended_has_no_next_run(tmp_path: Path, store: RetrainStore) -> None:
    store.note_next("2026-12-01T02:00:00+00:00")
    assert read(tmp_path).next_run is None


def test_a_run_is_running_while_a_process_works_on_it(tmp_path: Path, store: RetrainStore) -> None:
    store.add(RUN)
    store.begin_step(RUN.id, StepName.TRAIN, BEGAN)
    with only_one(store.folder, LOCK):
        last = read(tmp_path).last
        assert last is not None
        assert (last.state, last.step, last.ended) == ("running", "train", None)
    last = read(tmp_path).last
    assert last is not None
    assert last.state == RunState.INTERRUPTED


def test_a_night_without_a_run_and_a_pause(tmp_path: Path, store: RetrainStore) -> None:
    ended(store, RunState.PROMOTED)
    night = replace(RUN, id="n", started=ENDED, ended=ENDED, state=RunState.NOTHING_TO_DO, reason="20 new labels")
    store.add(night)
    store.pause(ENDED, "holidays")
    view = read(tmp_path)
    assert view.last is not None
    assert view.skipped is not None
    assert (view.last.id, view.skipped.reason, view.pause_reason) == (RUN.id, "20 new labels", "holidays")
    assert view.paused_since == datetime.fromisoformat(ENDED).timestamp()


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE runs SET state = 'dreaming'",
        "UPDATE runs SET started = 'yesterday'",
        "DROP TABLE steps",
        "PRAGMA user_version = 99",
    ],
)
def test_a_log_that_cannot_be_read_is_told_and_stops_nothing(tmp_path: Path, store: RetrainStore, spoil: str) -> None:
    ended(store, RunState.FAILED, StepName.TRAIN)
    with sqlite3.connect(store.folder / DATABASE) as db:
        db.execute(spoil)
    db.close()
    view = read(tmp_path)
    assert view.problem
    assert view.last is None


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / DATABASE).write_bytes(b"no database at all" * 100)
    assert "damaged" in read(tmp_path).problem


@pytest.mark.parametrize(
    ("gate", "step", "state", "differs"),
    [
        (TRAFFIC, StepName.EVALUATE, RunState.REFUSED, True),
        ("frozen_set", StepName.EVALUATE, RunState.REFUSED, False),
        ("", StepName.SHADOW, RunState.REFUSED, True),
        ("", StepName.CANARY, RunState.ROLLED_BACK, True),
        ("answered_requests", StepName.PROMOTE, RunState.ROLLED_BACK, False),
        ("", StepName.CANARY, RunState.FAILED, False),
    ],
)
def test_a_model_that_was_kept_out_for_being_another(
    tmp_path: Path, store: RetrainStore, gate: str, step: StepName, state: RunState, differs: bool
) -> None:
    ended(store, state, step)
    if gate:
        store.add_verdict(GateVerdict(RUN.id, step, gate, False, "no", ENDED))
    last = read(tmp_path).last
    assert last is not None
    assert last.differs is differs


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "promoted", "version": "1.6.0"}, "promoted 1.6.0 30 min ago"),
        ({"state": "rolled_back", "version": "1.6.0", "step": "canary"}, "rolled back 1.6.0 30 min ago, step canary"),
        ({"state": "running", "ended": None, "step": "train"}, "running for 2 h, step train"),
        ({"state": RunState.INTERRUPTED, "ended": None, "step": "train"}, "interrupted 2 h ago, step train"),
    ],
)
def test_words_of_a_run(changes: dict[str, Any], words: str) -> None:
    fields = {"began": AT - 7200.0, "ended": AT - 1800.0, "step": "", "version": ""} | changes
    assert run_words(fields, AT) == words


# -- rules -------------------------------------------------------------------------------------------------------------


def found(seen: Observation, code: str) -> Finding | None:
    return next((finding for finding in judge(seen) if finding.code == code), None)


def last(now: float, state: str, ago: float = 3600.0, **changes: Any) -> RetrainView:
    """A view whose last run ended so long ago; old decisions are no matter."""
    run = RunView("20261130-0200", state, now - ago - 60.0, now - ago, version="1.6.0", reason="it did", **changes)
    return RetrainView(last=run, decided_at=now)


@pytest.mark.parametrize(
    ("state", "code", "severity", "days"),
    [
        ("failed", "retrain_failed", Severity.WARNING, None),
        ("rolled_back", "retrain_rolled_back", Severity.WARNING, 7.0),
        ("refused", "retrain_refused", Severity.WARNING, 7.0),
        ("waiting", "retrain_waiting", Severity.WARNING, 7.0),
        ("promoted", "retrain_promoted", Severity.INFO, 1.0),
    ],
)
def test_an_end_is_told_for_its_days(
    seen: Make, now: float, state: str, code: str, severity: Severity, days: float | None
) -> None:
    model = ModelView("street", "1.6.0" if state == "promoted" else "1.0.0")
    finding = found(seen(retrain=last(now, state), model=model), code)
    assert finding is not None
    assert (finding.severity, finding.subject, finding.since) == (severity, "20261130-0200", now - 3600.0)
    assert finding.evidence[0] == "Run 20261130-0200: it did."
    assert [f.code for f in judge(seen(retrain=last(now, state), model=model))] == [code]
    assert found(seen(retrain=replace(last(now, state), configured=False)), code) is None
    long = (days or 365.0) * DAY
    assert found(seen(retrain=last(now, state, long), model=model), code) is not None
    assert (found(seen(retrain=last(now, state, long + 1.0), model=model), code) is None) is (days is not None)


def test_a_failure_names_its_step_and_remedy(seen: Make, now: float) -> None:
    finding = found(seen(retrain=last(now, "failed", step="train", remedy="free the disk")), "retrain_failed")
    assert finding is not None
    assert (finding.title, finding.remedy) == ("retraining failed in its step train", "Free the disk.")


def test_that_a_model_is_no_better_is_no_alarm(seen: Make, now: float) -> None:
    finding = found(seen(retrain=last(now, "refused", step="evaluate")), "retrain_refused")
    assert finding is not None
    assert finding.severity is Severity.INFO


@pytest.mark.parametrize(("state", "step"), [("refused", "evaluate"), ("refused", "shadow"), ("rolled_back", "canary")])
def test_a_better_model_that_differs_too_much(seen: Make, now: float, state: str, step: str) -> None:
    gain: dict[str, Any] = {"gain": "it is better: accuracy +3.1% on 1,204 pictures", "differs": True, "step": step}
    rollout = RolloutView("rolled_back", "1.6.0", "it agrees on 80 of 100 images only", now)
    findings = judge(seen(retrain=last(now, state, **gain), rollout=rollout))
    finding = next(f for f in findings if f.code == f"retrain_{state}")
    assert finding.severity is Severity.WARNING
    assert "--rollout.min_agreement" in finding.remedy
    assert "models swap 1.6.0" in finding.remedy
    assert "accuracy +3.1% on 1,204 pictures" in finding.evidence[1]


def test_a_rollback_is_told_once(seen: Make, now: float) -> None:
    view = last(now, "rolled_back")
    ours = RolloutView("rolled_back", "1.6.0", "it is slow", now)
    assert [f.code for f in judge(seen(retrain=view, rollout=ours))] == ["model_rolled_back"]
    assert found(seen(retrain=view, rollout=replace(ours, version="1.5.0")), "retrain_rolled_back") is not None


def test_what_serves_no_longer_waits_and_what_was_taken_off_was_not_put_on(seen: Make, now: float) -> None:
    serving, other = ModelView("street", "1.6.0"), ModelView("street", "1.5.0")
    assert found(seen(retrain=last(now, "waiting"), model=serving), "retrain_waiting") is None
    assert found(seen(retrain=last(now, "promoted"), model=other), "retrain_promoted") is None
    assert found(seen(retrain=last(now, "promoted"), model=None), "retrain_promoted") is not None


def test_a_log_that_cannot_be_read_is_a_finding_and_proves_nothing(seen: Make) -> None:
    unread = seen(retrain=RetrainView(problem="the log of retraining x: it is damaged"))
    assert [f.code for f in judge(unread)] == ["retrain_log_unread"]
    assert not rule_of("retrain_failed").absence(unread)
    assert not rule_of("retrain_idle").absence(unread)
    assert rule_of("retrain_failed").absence(seen())


def test_a_failure_is_not_over_while_the_next_run_is_going(seen: Make, now: float) -> None:
    going, done = (seen(retrain=last(now, state)) for state in ("running", "promoted"))
    assert found(going, "retrain_failed") is None
    assert ("retrain_failed" in unproven(going), "retrain_failed" in unproven(done)) == (True, False)


@pytest.mark.parametrize(("days", "expected"), [(13.9, False), (14.0, True)])
def test_no_retraining_for_days(seen: Make, now: float, days: float, expected: bool) -> None:
    finding = found(seen(retrain=RetrainView(decided_at=now - days * DAY)), "retrain_idle")
    assert (finding is not None) is expected
    if finding:
        assert "no model was retrained for 14 days" in finding.title
        assert "`streetvision retrain serve` does not run here" in finding.evidence[1]


@pytest.mark.parametrize(
    ("changes", "why", "remedy"),
    [
        ({"paused_since": 1.0, "pause_reason": "holidays"}, "paused since 1970-01-01 00:00 UTC (holidays)", "resume"),
        ({"skipped": "nothing_to_do"}, "Run n: 20 new labels", "label 180 more"),
        ({"last": "failed"}, "Run n failed 60 min ago: 20 new labels", "label 180 more"),
        ({"next_run": 0.0}, "the next is due 1970-01-01", "retrain plan"),
    ],
)
def test_an_idle_retraining_says_why(seen: Make, now: float, changes: dict[str, Any], why: str, remedy: str) -> None:
    runs = {
        name: RunView("n", state, now - 3600.0, now - 3600.0, reason="20 new labels", remedy="label 180 more")
        for name, state in changes.items()
        if name in ("skipped", "last")
    }
    view = RetrainView(**{"decided_at": now - 20 * DAY, **changes, **runs})
    finding = found(seen(retrain=view), "retrain_idle")
    assert finding is not None
    assert why in finding.evidence[1]
    assert remedy in finding.remedy


def test_a_retraining_that_never_decided_counts_from_the_miners_start(seen: Make, now: float) -> None:
    young, old = (Traffic((), listening_since=now - days * DAY) for days in (13.0, 15.0))
    assert found(seen(retrain=RetrainView(), traffic=young), "retrain_idle") is None
    finding = found(seen(retrain=RetrainView(), traffic=old), "retrain_idle")
    assert finding is not None
    assert "No run has come to a decision yet" in finding.evidence[0]
    assert found(seen(retrain=RetrainView(), traffic=Traffic()), "retrain_idle") is None


def test_what_excuses_an_idle_retraining(seen: Make, now: float, epochs: Make) -> None:
    idle = RetrainView(decided_at=now - 90 * DAY)
    assert found(seen(retrain=idle), "retrain_idle") is not None
    running = replace(idle, last=RunView("n", "running", now - 60.0))
    for excused in (replace(idle, max_idle_days=0.0), replace(idle, configured=False), running, None):
        assert found(seen(retrain=excused), "retrain_idle") is None
    halted = epochs(burn_share=[1.0] * 5, rank=[None] * 5, incentive=[0.0] * 5, emission=[0.0] * 5)
    codes = [finding.code for finding in judge(seen(retrain=idle, points=halted))]
    assert "subnet_halted" in codes
    assert "retrain_idle" not in codes


def test_an_old_model_is_told_with_what_retraining_can_do(seen: Make, now: float) -> None:
    model = ModelView("street", "1.0.0", now - 60 * DAY)
    by_hand, by_night = (
        found(seen(model=model), "model_old"),
        found(seen(model=model, retrain=RetrainView(decided_at=now)), "model_old"),
    )
    assert by_hand is not None
    assert by_night is not None
    assert "--retrain.publish" in by_night.remedy
    assert "--retrain.publish" not in by_hand.remedy
