"""The record of starts: a crash loop is seen and slowed down, a clean stop ends it, and no disk stops a miner."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from streetvision.base.state_folder import one_miner
from streetvision.doctor.check import Mark
from streetvision.doctor.live import check_miner
from streetvision.errors import ConfigError, OperatorError, RestartNeeded
from streetvision.miner.starts import KEPT, LONGEST_PAUSE_S, STARTS_FILE, UNSEEN, Starts, pause_after, read_starts
from streetvision.monitor.finding import Severity
from streetvision.monitor.observation import CrashView, Observation
from streetvision.monitor.rules import judge
from streetvision.monitor.thresholds import THRESHOLDS

NOW = 1_800_000_000.0
KILLED = "killed"
DEVICE = RestartNeeded("the device is lost (CUDA error: unspecified launch failure)")


def run(folder: Path, ending: BaseException | str | None, at: float = NOW) -> float:
    """One start that ends so; the pause before it."""
    starts = Starts(folder, lambda: at)
    pause = starts.begin()
    if ending != KILLED:
        assert not isinstance(ending, str)
        starts.end(ending)
    return pause


@pytest.mark.parametrize("ending", [KILLED, DEVICE, KeyError("a defect")], ids=["killed", "device", "defect"])
def test_three_crashes_in_a_row_are_a_loop_and_each_further_one_waits_longer(
    tmp_path: Path, ending: BaseException | str
) -> None:
    assert [run(tmp_path, ending) for _ in range(6)] == [0.0, 0.0, 0.0, 15.0, 30.0, 60.0]
    starts = Starts(tmp_path, lambda: NOW)
    starts.begin()
    reasons = {KILLED: UNSEEN, str(DEVICE): str(DEVICE)}
    assert {crash.why for crash in starts.crashes} == {reasons.get(str(ending), "KeyError: 'a defect'")}


@pytest.mark.parametrize("ending", [None, ConfigError("a wrong setting")], ids=["stopped", "refused"])
def test_a_clean_stop_or_a_refused_start_is_no_crash(tmp_path: Path, ending: BaseException | None) -> None:
    assert [run(tmp_path, ending) for _ in range(6)] == [0.0] * 6


def test_a_clean_stop_ends_the_loop_and_a_refused_start_does_not(tmp_path: Path) -> None:
    for ending in (KILLED, KILLED, KILLED, OperatorError("the chain is away")):
        run(tmp_path, ending)
    assert run(tmp_path, None) == 15.0  # while it waits the operator stops it
    assert run(tmp_path, None) == 0.0


def test_what_is_long_ago_or_to_come_does_not_count(tmp_path: Path) -> None:
    for _ in range(3):
        run(tmp_path, KILLED)
    assert run(tmp_path, KILLED, NOW + THRESHOLDS.crash_window_s + 1) == 0.0
    assert run(tmp_path, KILLED, NOW - 3600) == 0.0, "the clock was set back"


def test_the_pause_is_bounded() -> None:
    pauses = [pause_after(count) for count in range(100)]
    assert pauses == sorted(pauses)
    assert max(pauses) == LONGEST_PAUSE_S
    assert THRESHOLDS.crash_window_s > 10 * LONGEST_PAUSE_S, "or the pauses would end the loop that they slow down"


def test_the_file_is_bounded(tmp_path: Path) -> None:
    for _ in range(3 * KEPT):
        run(tmp_path, KeyError("x" * 100_000))
    assert len(read_starts(tmp_path)) == KEPT
    assert (tmp_path / STARTS_FILE).stat().st_size < 64 * 1024


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "null", "7", '"a"', "{}", "[1]", "[{}]", "[" * 100_000),
        '[{"at": NaN, "end": "", "reason": ""}]',
        '[{"at": 1' + "0" * 400 + ', "end": "", "reason": ""}]',
        '[{"at": 1' + "0" * 5000 + ', "end": "", "reason": ""}]',
    ],
)
def test_a_damaged_file_is_begun_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / STARTS_FILE).write_text(text)
    assert run(tmp_path, KILLED) == 0.0
    assert json.loads((tmp_path / STARTS_FILE).read_text())[-1]["at"] == NOW


def test_a_disk_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    assert run(tmp_path / "none", None) == 0.0


def test_a_disk_that_is_full_leaves_what_was_written(tmp_path: Path) -> None:
    run(tmp_path, KILLED)
    before, limits = (tmp_path / STARTS_FILE).read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), limits[1]))
    try:
        assert run(tmp_path, KeyError("a defect")) == 0.0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_nothing_is_written_before_the_folder_is_held(tmp_path: Path) -> None:
    Starts(tmp_path).end(None)
    assert list(tmp_path.iterdir()) == []


def test_the_finding_names_times_and_reasons() -> None:
    crashes = tuple(CrashView(NOW - 60.0 * number, f"reason {number}") for number in range(8, 0, -1))
    (finding,) = judge(Observation(NOW, "5", crashes=crashes))
    assert (finding.code, finding.severity) == ("crash_loop", Severity.CRITICAL)
    assert finding.title == "8 starts in a row ended in a crash"
    assert finding.evidence[-1].endswith("UTC: reason 1.")
    assert len(finding.evidence) == 5
    assert judge(Observation(NOW, "5", crashes=crashes[:2])) == ()
    assert judge(Observation(NOW + THRESHOLDS.crash_window_s, "5", crashes=crashes)) == ()


def test_the_doctor_sees_it_while_no_miner_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    silent = OperatorError("no miner runs here")
    for _ in range(3):
        assert check_miner(tmp_path, None, silent).mark is Mark.SKIPPED
        run(tmp_path, DEVICE)
    check = check_miner(tmp_path, None, silent)
    assert check.mark is Mark.FAILURE
    assert "CUDA error: unspecified launch failure" in check.evidence
    with one_miner(tmp_path):
        Starts(tmp_path).begin()
        assert "3 starts in a row" in check_miner(tmp_path, None, silent).evidence
