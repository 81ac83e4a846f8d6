"""The log of retraining: what is written is read back, by any process, and nothing is half written."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from streetvision.base.state_folder import only_one
from streetvision.errors import OperatorError
from streetvision.retrain_log.reader import RetrainReader
from streetvision.retrain_log.records import GateVerdict, RunRecord, RunState, Spending, StepName, StepRecord
from streetvision.retrain_log.schema import DATABASE, SCHEDULE_LOCK
from streetvision.retrain_log.store import RetrainStore

RUN = RunRecord("20261130-0200", "2026-11-30T02:00:00+00:00", "schedule", baseline="1.0.0")
LATER = "2026-11-30T03:00:00+00:00"


@pytest.fixture
def store(tmp_path: Path) -> RetrainStore:
    made = RetrainStore(tmp_path / "retrain")
    made.add(RUN)
    return made


def test_a_folder_without_a_log_reads_as_an_empty_one(tmp_path: Path) -> None:
    reader = RetrainReader(tmp_path / "retrain")
    assert (reader.runs(), reader.latest(), reader.run("x"), reader.paused()) == ((), None, None, None)
    assert (reader.steps("x"), reader.verdicts("x"), reader.refused("f")) == ((), (), None)
    assert reader.spent("2026-11") == Spending()
    assert not list(tmp_path.iterdir())


def test_the_log_of_another_user_is_told_with_a_remedy(store: RetrainStore) -> None:
    nobody, ours = 65534, os.geteuid()
    store.folder.chmod(0)
    try:
        if ours == 0:
            os.seteuid(nobody)
        for use in (store.runs, lambda: store.pause(LATER), lambda: RetrainStore(store.folder)):
            with pytest.raises(OperatorError, match="may not write it: run the command as the user of the miner"):
                use()
    finally:
        os.seteuid(ours)
        store.folder.chmod(0o700)


def test_runs_come_back_newest_first(store: RetrainStore) -> None:
    second = replace(RUN, id="20261201-0200", started="2026-12-01T02:00:00+00:00", trigger="command")
    store.add(second)
    reader = RetrainReader(store.folder)
    assert reader.runs() == (second, RUN)
    assert reader.runs(1) == (reader.latest(),) == (second,)
    assert reader.run(RUN.id) == RUN
    store.end(replace(RUN, state=RunState.PROMOTED, ended=LATER, reason="better"))
    assert reader.last_in(RunState.PROMOTED, RunState.WAITING) == replace(
        RUN, state=RunState.PROMOTED, ended=LATER, reason="better"
    )


def test_the_newest_runs_that_did_a_step_are_found(store: RetrainStore) -> None:
    names = [f"run {number}" for number in range(3)]
    for name in names:
        store.add(replace(RUN, id=name))
    for name in (RUN.id, *names):
        store.begin_step(name, StepName.TRAIN, LATER)
    for name in (RUN.id, *names[:2]):
        store.finish_step(name, StepName.TRAIN, {}, LATER)
    assert [run.id for run in store.runs_that_did(StepName.TRAIN, 2)] == ["run 1", "run 0"]
    assert [run.id for run in store.runs_that_did(StepName.TRAIN, 9)] == ["run 1", "run 0", RUN.id]
    assert store.runs_that_did(StepName.PUBLISH, 9) == ()


def test_runs_are_counted_by_how_they_stand(store: RetrainStore) -> None:
    for number, state in enumerate((RunState.PROMOTED, RunState.PROMOTED, RunState.FAILED)):
        store.add(replace(RUN, id=str(number), state=state))
    counts = RetrainReader(store.folder).counts()
    assert {state: count for state, count in counts.items() if count} == {"running": 1, "promoted": 2, "failed": 1}
    assert set(counts) == set(RunState)


def test_the_next_run_is_known_while_the_service_runs(store: RetrainStore) -> None:
    store.note_next(RUN.started)
    store.note_next(LATER)
    with only_one(store.folder, SCHEDULE_LOCK):
        assert RetrainReader(store.folder).next_run() == LATER
    assert RetrainReader(store.folder).next_run() == ""


def test_a_log_of_before_an_update_is_lifted_by_whoever_reads_it(tmp_path: Path) -> None:
    store = RetrainStore(tmp_path)
    store.add(RUN)
    with contextlib.closing(sqlite3.connect(store.file, isolation_level=None)) as db:
        db.execute("DROP TABLE schedule")
        db.execute("PRAGMA user_version = 1")
    with only_one(tmp_path, SCHEDULE_LOCK):
        assert (RetrainReader(tmp_path).next_run(), RetrainReader(tmp_path).latest()) == ("", RUN)


def test_the_order_of_runs_does_not_hang_on_the_clock(store: RetrainStore) -> None:
    store.add(replace(RUN, id="20200101-0000", started="2020-01-01T00:00:00+00:00"))
    assert [run.id for run in store.runs()] == ["20200101-0000", RUN.id]
    assert store.latest_begun() == store.latest() == store.run("20200101-0000")


def test_a_steps_output_is_kept_with_its_mark_and_its_part_of_the_run(store: RetrainStore) -> None:
    store.begin_step(RUN.id, StepName.DATASET, RUN.started)
    assert store.steps(RUN.id) == (StepRecord(RUN.id, StepName.DATASET, RUN.started),)
    store.finish_step(RUN.id, StepName.DATASET, {"fingerprint": "ab", "pictures": 3}, LATER)
    (step,) = store.steps(RUN.id)
    assert (step.done, step.output, step.ended) == (True, {"fingerprint": "ab", "pictures": 3}, LATER)
    assert store.run(RUN.id) == replace(RUN, fingerprint="ab")


def test_an_output_that_json_cannot_hold_leaves_the_step_undone(store: RetrainStore) -> None:
    store.begin_step(RUN.id, StepName.TRAIN, RUN.started)
    with pytest.raises(ValueError, match="JSON"):
        store.finish_step(RUN.id, StepName.TRAIN, {"version": "1.0.1", "loss": float("nan")}, LATER)
    assert not store.steps(RUN.id)[0].done
    assert store.run(RUN.id) == RUN


def test_steps_stand_in_the_order_in_which_they_run(store: RetrainStore) -> None:
    for name in (StepName.TRAIN, StepName.COLLECT, StepName.PROMOTE):
        store.begin_step(RUN.id, name, RUN.started)
    assert [step.name for step in store.steps(RUN.id)] == [StepName.COLLECT, StepName.TRAIN, StepName.PROMOTE]


def test_another_attempt_is_counted_and_forgets_the_former_ones_verdicts(store: RetrainStore) -> None:
    store.begin_step(RUN.id, StepName.EVALUATE, RUN.started)
    verdict = GateVerdict(RUN.id, StepName.EVALUATE, "frozen_set", False, "worse", RUN.started, {"mcc": -0.1})
    store.add_verdict(verdict)
    store.add_verdict(verdict)
    assert store.verdicts(RUN.id) == (verdict,)
    store.end(replace(RUN, state=RunState.FAILED, ended=LATER, reason="no disk"), StepName.EVALUATE)
    assert store.steps(RUN.id)[0].problem == "no disk"
    store.reopen(RUN.id)
    assert store.begin_step(RUN.id, StepName.EVALUATE, LATER) == 2
    assert (store.steps(RUN.id)[0].attempts, store.steps(RUN.id)[0].problem) == (2, "")
    assert store.verdicts(RUN.id) == ()
    assert store.run(RUN.id) == RUN


def test_an_attempt_that_the_operator_stopped_does_not_count(store: RetrainStore) -> None:
    store.begin_step(RUN.id, StepName.TRAIN, RUN.started)
    store.end(replace(RUN, state=RunState.STOPPED, ended=LATER), StepName.TRAIN)
    assert store.steps(RUN.id)[0].attempts == 0
    assert store.begin_step(RUN.id, StepName.TRAIN, LATER) == 1


@pytest.mark.parametrize("state", RunState)
def test_only_what_was_refused_or_rolled_back_is_marked(store: RetrainStore, state: RunState) -> None:
    ended = replace(RUN, state=state, ended=LATER, reason="worse", fingerprint="ab", version="1.0.1")
    store.end(ended)
    found = store.refused("ab")
    assert (found is not None) == (state in (RunState.REFUSED, RunState.ROLLED_BACK))
    if found is not None:
        assert (found.version, found.run, found.reason) == ("1.0.1", RUN.id, "worse")
    assert store.refused("cd") is None


def test_spending_adds_up_by_month_and_run(store: RetrainStore) -> None:
    store.spend(RUN.id, StepName.TRAIN, Spending(1.0, 2.5), "2026-11-30T23:59:59+00:00")
    store.spend(RUN.id, StepName.TRAIN, Spending(0.5, 1.25), "2026-12-01T00:00:01+00:00")
    store.spend("other", StepName.EVALUATE, Spending(2.0, 0.0), "2026-12-02T00:00:01+00:00")
    assert store.spent("2026-11") == Spending(1.0, 2.5)
    assert store.spent("2026-12") == Spending(2.5, 1.25)
    assert store.spent(run=RUN.id) == Spending(1.5, 3.75)
    assert store.spent() == Spending(3.5, 3.75)


def test_a_pause_lasts_until_it_ends(store: RetrainStore) -> None:
    store.pause(LATER, "holidays")
    store.pause("2026-12-24T00:00:00+00:00")
    pause = store.paused()
    assert pause is not None
    assert (pause.since, pause.reason) == (LATER, "holidays")
    store.unpause()
    assert store.paused() is None


def test_a_request_to_stop_is_seen_and_ends_with_the_next_start(store: RetrainStore) -> None:
    assert not store.stop_asked(RUN.id)
    store.ask_to_stop(RUN.id, LATER)
    assert RetrainReader(store.folder).stop_asked(RUN.id)
    store.reopen(RUN.id)
    assert not store.stop_asked(RUN.id)


def test_a_newer_log_and_a_damaged_one_are_told(store: RetrainStore) -> None:
    db = sqlite3.connect(store.file)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(OperatorError, match="upgrade streetvision, or move that file away"):
        store.runs()
    store.file.write_bytes(b"no database" * 999)
    with pytest.raises(OperatorError, match="damaged: move it away"):
        RetrainReader(store.folder).runs()
    with pytest.raises(OperatorError, match="damaged: move it away"):
        RetrainStore(store.folder)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "retrain").write_text("")
    with pytest.raises(OperatorError, match=DATABASE):
        RetrainStore(tmp_path / "retrain")
