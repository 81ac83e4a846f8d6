"""`streetvision models swap` and its neighbours against a control server in this process, with a manager made up."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streetvision.cli.models_live import share_of, status_report, step_text, steps_shown
from streetvision.control.operations import model_operations
from streetvision.control.server import Handler
from streetvision.errors import ConfigError, OperatorError

Run = Callable[..., tuple[int, str, str]]
Tell = Callable[[Mapping[str, Any]], None]

HEALTH = {"answered": 12, "failed": 1, "late": 0, "p99": 0.0234}
REPORT = {
    "since": "2026-11-22T20:00:00+00:00",
    "samples": 40,
    "agreed": 39,
    "agreement": 0.975,
    "agreement_between": [0.9, 0.99],
    "probability_shift": {"mean": 0.0123, "p95": 0.05},
    "latency": {"p50": 0.02, "p99": 0.031},
    "active_latency": {"p50": 0.02, "p99": 0.03},
    "failed_images": 0,
}
STATUS: dict[str, Any] = {
    "active": {"version": "1.0.0", "name": "street", "for_s": 7300.0, "health": HEALTH},
    "standby": {"version": "0.9.0", "name": "street", "left_s": 480.0},
    "candidate": {
        "version": "1.1.0",
        "name": "street",
        "role": "canary",
        "share": 0.1,
        "verdict": "wait",
        "evidence": ["40 of 200 different images were compared"],
        "report": REPORT,
    },
    "operation": {
        "name": "the swap to 1.2.0",
        "for_s": 4.0,
        "step": {"stage": "warm", "bucket": 8, "done": 2, "total": 9},
    },
    "stuck": None,
    "bad": {"0.8.0": {"why": "it gave the same answer to 20 different images", "at": "2026-11-21T10:00:00+00:00"}},
    "decisions": [
        {"at": "2026-11-22T20:00:01.123+00:00", "event": "promote", "version": "1.0.0", "by": "gates", "why": "agrees"}
    ],
}


class Manager:
    """Stands in for the ModelManager: notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    async def swap(self, version: str, progress: Tell, *, force: bool) -> dict[str, Any]:
        self.asked.append(("swap", version, *(["force"] * force)))
        for step in ({"stage": "load", "done": 1, "total": 2}, {"stage": "warm", "bucket": 8, "done": 2, "total": 2}):
            progress(step)
            progress(step)
        if version == "9.9.9":
            raise OperatorError("There is no model version '9.9.9'.")
        return {"version": version, "sentence": f"Version {version} serves; 1.0.0 was taken off."}

    async def shadow(self, version: str, share: float | None, progress: Tell, *, by: str) -> dict[str, Any]:
        return self._note("shadow", version, share)

    async def canary(
        self, version: str, share: float | None, progress: Tell, *, force: bool, by: str
    ) -> dict[str, Any]:
        return self._note("canary", version, share, *(["force"] * force))

    async def stop_shadow(self, by: str) -> dict[str, Any]:
        return self._note("stop")

    async def promote(self, version: str | None, progress: Tell) -> dict[str, Any]:
        return self._note("promote", version)

    async def rollback(self, progress: Tell, *, by: str) -> dict[str, Any]:
        return self._note("rollback")

    def status(self) -> dict[str, Any]:
        return STATUS

    def _note(self, *asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return {"sentence": f"{asked[0]} is done."}


@pytest.fixture
def manager(answer: Callable[[Mapping[str, Handler]], None]) -> Manager:
    """One that can be asked at the state folder's socket."""
    manager = Manager()
    answer(model_operations(manager))  # type: ignore[arg-type]  # a stand-in
    return manager


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, command: Run, state: Path) -> Run:
    """Run `streetvision models ...`; exit code, stdout, stderr."""
    return partial(command, "models")


def test_swap_says_each_step_once_and_what_came_of_it(run: Run, manager: Manager) -> None:
    code, out, err = run("swap", "1.2.0")
    assert (code, out) == (0, "Version 1.2.0 serves; 1.0.0 was taken off.\n")
    assert err == "swap 1.2.0: weights loaded\nswap 1.2.0: warmed, batches of 8\n"
    assert manager.asked == [("swap", "1.2.0")]


def test_swap_as_json(run: Run, manager: Manager) -> None:
    code, out, _ = run("swap", "1.2.0", "--json")
    assert code == 0
    assert json.loads(out)["version"] == "1.2.0"


def test_a_failure_is_a_sentence_and_exit_code_1(run: Run, manager: Manager) -> None:
    code, out, err = run("swap", "9.9.9")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == "error: There is no model version '9.9.9'."


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (("shadow", "1.2.0"), ("shadow", "1.2.0", None)),
        (("shadow", "1.2.0", "--share", "20%"), ("shadow", "1.2.0", 0.2)),
        (("shadow", "--stop"), ("stop",)),
        (("canary", "1.2.0"), ("canary", "1.2.0", None)),
        (("canary", "1.2.0", "--share", "0.05"), ("canary", "1.2.0", 0.05)),
        (("canary", "1.2.0", "--force"), ("canary", "1.2.0", None, "force")),
        (("promote",), ("promote", None)),
        (("promote", "1.2.0"), ("promote", "1.2.0")),
        (("rollback",), ("rollback",)),
    ],
)
def test_what_each_command_asks(run: Run, manager: Manager, words: tuple[str, ...], asked: tuple[Any, ...]) -> None:
    assert run(*words)[:2] == (0, f"{asked[0]} is done.\n")
    assert manager.asked == [asked]


@pytest.mark.parametrize("words", [("shadow",), ("shadow", "1.2.0", "--stop"), ("canary", "1.2.0", "--share", "7")])
def test_what_makes_no_sense_is_not_asked(run: Run, manager: Manager, words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert manager.asked == []


@pytest.mark.parametrize("words", [("swap", "1.2.0"), ("status",), ("rollback",)])
def test_no_miner_is_a_sentence(run: Run, state: Path, words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert err == f"error: no miner runs with the state folder {state}: start it, or name its folder with --state_dir\n"


def test_status_for_people_and_programs(run: Run, manager: Manager) -> None:
    code, out, _ = run("status")
    assert code == 0
    assert out.splitlines() == [
        "serves   1.0.0 (street), for 2.0 h; last minute: 12 answered, 1 failed, 0 late, model p99 23 ms",
        "standby  0.9.0 (street), kept loaded for 8 min: `streetvision models rollback` goes back at once",
        "canary   1.1.0 (street) answers 10% of the images, since 2026-11-22 20:00:00",
        "         40 images compared, 97.5% agree (surely 90.0% to 99.0%), probabilities 0.012 apart, "
        "p99 31 ms beside 30, 0 failed",
        "  wait   40 of 200 different images were compared",
        "doing    the swap to 1.2.0, for 4 s: warmed, batches of 8 (2 of 9)",
        "bad      0.8.0, since 2026-11-21 10:00:00: it gave the same answer to 20 different images",
        "decided  2026-11-22 20:00:01  promote 1.0.0 by gates: agrees",
    ]
    assert json.loads(run("status", "--json")[1]) == STATUS


def test_status_fits_a_terminal_without_losing_a_word() -> None:
    wide, narrow = status_report(STATUS), status_report(STATUS, 60)
    assert narrow.split() == wide.split()
    assert max(map(len, narrow.splitlines())) <= 60
    standby = narrow.index("standby  0.9.0")
    assert narrow[standby:].splitlines()[1].startswith(" " * 9 + "`streetvision models")


def test_status_of_a_quiet_and_of_a_sick_miner() -> None:
    quiet = STATUS | {"standby": None, "candidate": None, "operation": None, "bad": {}, "decisions": []}
    assert status_report(quiet).count("\n") == 0
    sick = status_report(quiet | {"stuck": "Version 1.0.0 is sick (it failed) and cannot be rolled back: none"})
    assert "SICK    Version 1.0.0 is sick" in sick
    untried = {
        **REPORT,
        "samples": 0,
        "agreement": None,
        "agreement_between": None,
        "latency": {"p50": None, "p99": None},
    }
    new = quiet | {"candidate": {**STATUS["candidate"], "role": "shadow", "evidence": [], "report": untried}}
    assert "1.1.0 (street) looks at 10% of the images" in status_report(new)
    assert "0 images compared, 0 failed" in status_report(new)


@pytest.mark.parametrize(("text", "share"), [("20%", 0.2), (" 0.5 % ", 0.005), ("0.2", 0.2), ("1", 1.0), ("100%", 1.0)])
def test_shares(text: str, share: float) -> None:
    assert share_of(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "%", "0", "-1%", "20", "101%", "nan", "inf", "ten", "20%%"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is no share: write 20% or 0\.2"):
        share_of(text)


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with steps_shown("swap 1.2.0") as show:
        show({})
        show({"stage": "warm", "bucket": 8, "done": 1, "total": 2})
    assert "swap 1.2.0" in capsys.readouterr().err


def test_words_for_steps() -> None:
    assert step_text({"stage": "check", "done": 0, "total": 1}) == "showing it the golden pictures"
    assert step_text({"stage": "brew"}) == "brew"
    assert step_text({}) == "working"
