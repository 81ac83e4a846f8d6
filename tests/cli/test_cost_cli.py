"""`streetvision cost`: what operators type, and what they read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import Logbook

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, command: Run, logbook: Logbook, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(logbook.state))
    return command


def test_at_a_given_rate_no_log_is_needed(run: Run) -> None:
    code, out, err = run("cost", "--per_second", "0.05", "--hotkeys", "6")
    assert (code, err.count("error")) == (0, 0)
    assert "6 miners, each with 0.05 requests a second" in out


def test_the_log_gives_traffic_and_speed(run: Run, logbook: Logbook) -> None:
    records = []
    for _ in range(200):
        logbook.moment += 35.0
        records.append(logbook.record(b"x", logbook.answer(0.7)))
    logbook.write(*records)
    code, out, err = run("cost", "--json", "--since", "2020-01-01", "--measured_on", "cpu")
    assert code == 0, err
    found = json.loads(out)
    assert found["traffic"]["mean_per_s"] == pytest.approx(1 / 36, rel=0.02)
    assert found["measured_here_s"] == pytest.approx(0.002)
    assert found["speeds"]["cpu"]["source"] == "this machine's log"


def test_the_prices_can_be_shown_changed_and_given_back(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("cost", "--show_prices")
    assert code == 0
    (tmp_path / "own.toml").write_text(out.replace("hour = 0.7068", "hour = 0.1"))
    months = []
    for more in ((), ("--prices", "own.toml")):
        code, out, err = run("cost", "--per_second", "0.05", "--json", *more)
        assert code == 0, err
        bills = json.loads(out)["bills"]
        months.append(next(bill["month_usd"] for bill in bills if bill["way"] == "card_shared"))
    assert months == pytest.approx([0.7068 * 730, 0.1 * 730])


def test_the_page_is_written(run: Run, tmp_path: Path) -> None:
    code, _, err = run("cost", "--per_second", "0.05", "--report", "cost.html")
    assert code == 0
    assert "the estimate is in cost.html" in err
    assert (tmp_path / "cost.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "there is no prediction log in"),
        (("--per_second", "0"), "--per_second 0 is no rate"),
        (("--per_second", "nan"), "--per_second nan is no rate"),
        (("--per_second", "-1"), "--per_second -1 is no rate"),
        (("--card", "l44"), "the GPU l44 is not known: did you mean l4"),
        (("--model", "tiny"), "the model tiny is not known"),
        (("--prices", "gone.toml"), "gone.toml cannot be read"),
        (("--per_second", "1", "--measured_on", "cpu"), "the log holds no answer"),
        (("--report", "."), ". is a folder"),
        (("--since", "yesterday"), "'yesterday' is no time"),
    ],
)
def test_slips_are_one_sentence(run: Run, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = run("cost", *arguments)
    assert code == 1
    assert says in err
    assert err.strip().count("\n") == 0
    assert out == ""


def test_a_typo_in_a_file_of_prices(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[machine.aws-g6]\nhuor = 1\n")
    code, _, err = run("cost", "--per_second", "1", "--prices", "own.toml")
    assert code == 1
    assert "machine.aws-g6.huor is not known: did you mean hour?" in err
