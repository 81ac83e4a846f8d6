"""`streetvision status` and `streetvision report`: on a terminal, in a pipe, as JSON and as a file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from streetvision.cli.status_plain import plain_report
from streetvision.cli.status_view import spark_width, view
from streetvision.control.server import SOCKET_NAME, Handler
from streetvision.locking import only_one
from streetvision.status.live import OPERATION, span_of
from streetvision.status.shape import Status
from streetvision.status.spark import GAP, bar, sparkline
from streetvision.status.wording import printable

from ..status.worlds import HOSTILE, fresh, hostile, status

Run = Callable[..., tuple[int, str, str]]


class Answers:
    """Stands in for the miner: the snapshot it gives, and how often it was asked for what."""

    def __init__(self) -> None:
        self.found: Mapping[str, Any] = {}
        self.asked: list[Mapping[str, Any]] = []

    async def __call__(self, arguments: Mapping[str, Any], _progress: Any) -> Mapping[str, Any]:
        self.asked.append(arguments)
        return self.found or status(span=span_of(arguments))


@pytest.fixture
def miner(answer: Callable[[Mapping[str, Handler]], None]) -> Answers:
    """One that answers at the state folder's socket."""
    answers = Answers()
    answer({OPERATION: answers})
    return answers


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, command: Run, state: Path) -> Run:
    """Run `streetvision ...`; exit code, stdout, stderr."""
    return command


def drawn(found: Status, width: int, height: int | None = None) -> list[str]:
    """The lines of the screen."""
    console = Console(width=width, height=height or 200, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(view(found, width, height))
    return capture.get().splitlines()


# -- the command -------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_plain_lines(run: Run, miner: Answers) -> None:
    code, out, err = run("status")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    lines = dict(line.split(None, 1) for line in out.splitlines() if line and not line.startswith(" ") and " " in line)
    assert lines["state"].startswith(("serving", "degraded"))
    assert lines["hotkey"] == "own-hotkey"
    assert lines["rank"].endswith("of 248")
    assert lines["model"].startswith("1.4.0 (street-b), for 25 h")
    assert lines["trial"] == "canary 1.5.0 answers 10 % of the images: wait"
    assert "validator-7" in out


def test_json_is_the_snapshot(run: Run, miner: Answers) -> None:
    code, out, _ = run("status", "--json", "--days", "2")
    assert code == 0
    assert miner.asked == [{"days": 2.0, "intervals": 40, "counted_days": 1.0}]
    assert json.loads(out) == status(span=span_of(miner.asked[0]))


def test_no_miner_is_one_sentence_and_a_code(run: Run, state: Path) -> None:
    sentence = f"error: no miner runs with the state folder {state}: start it, or name its folder with --state_dir\n"
    assert run("status") == (1, "", sentence)
    assert run("status", "--watch") == (1, "", sentence)
    assert run("status", "--json") == (1, "", sentence)


def test_a_miner_that_is_starting(run: Run, state: Path) -> None:
    with only_one(state, "miner", remedy=""):
        assert run("status") == (1, "", f"error: a miner is starting in {state}: wait until its log says `ready`\n")


def test_a_miner_of_another_version(run: Run, miner: Answers) -> None:
    miner.found = {"schema": 99}
    assert run("status") == (
        1, "", "error: the miner is of another version than this command: restart the miner\n"
    )  # fmt: skip


def test_watching_goes_on_while_the_miner_restarts(
    run: Run, miner: Answers, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            (state / SOCKET_NAME).rename(state / "away")
        elif len(pauses) == 3:
            (state / "away").rename(state / SOCKET_NAME)
        elif len(pauses) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pause)
    code, out, err = run("status", "--watch", "--json", "--interval", "0.5")
    assert code == 0
    assert [json.loads(line)["schema"] for line in out.splitlines()] == [1, 1, 1]
    assert err.startswith("no miner runs with the state folder")
    assert pauses == [0.5] * 4


# -- the screen --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 40), (200, 60)])
@pytest.mark.parametrize("found", [status, fresh, lambda: printable(hostile())], ids=["usual", "fresh", "hostile"])
def test_a_watched_screen_fits(found: Callable[[], Status], width: int, height: int) -> None:
    lines = drawn(found(), width, height)
    assert len(lines) <= height
    assert max(len(line.rstrip()) for line in lines) <= width


def test_eighty_columns_show_all_that_matters() -> None:
    text = "\n".join(drawn(status(span=span_of({"intervals": spark_width(80)})), 80, 24))
    for words in ("UID 8", "rank", "▁", "emission", "a minute", "to spare", "p50", "p99", "inference", "batch of",
                  "views", "1.4.0 (street-b)", "canary 1.5.0", "validator", "last seen", "earning"):  # fmt: skip
        assert words in text, words


def test_more_columns_show_more() -> None:
    hotkey = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
    found = status()
    found["validators"][0]["hotkey"] = hotkey
    assert hotkey in "\n".join(drawn(found, 120))
    assert hotkey not in "\n".join(drawn(found, 80))
    assert spark_width(160) > spark_width(80) >= 20


def test_a_low_window_says_how_many_validators_are_left_out() -> None:
    text = "\n".join(drawn(status(), 80, 22))
    assert "more" in text
    assert "validator-7"[:8] in text


def test_nothing_from_outside_steers_the_terminal() -> None:
    assert "\x1b" in HOSTILE
    for text in (plain_report(printable(hostile())), "\n".join(drawn(printable(hostile()), 200))):
        assert "\x07" not in text
        assert "\x1b[31m" not in text


def test_sparklines() -> None:
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([1, None, 8], 3, best_is_low=True) == f"█{GAP}▁"
    assert sparkline([5, 5], 9) == "▅▅"
    assert sparkline([None, None], 9) == GAP * 2
    assert sparkline(list(range(100)), 2) == "▁█"
    assert sparkline([], 5) == sparkline([1], 0) == ""
    assert [bar(share, 4) for share in (0, 0.001, 0.5, 1, 7)] == ["", "▏", "██", "████", "████"]


# -- the report --------------------------------------------------------------------------------------------------------


def test_a_report_of_the_running_miner(run: Run, miner: Answers, state: Path) -> None:
    code, out, err = run("report", "--out", "miner.html", "--days", "7")
    assert (code, err) == (0, "")
    assert out.startswith("miner.html: ")
    assert out.endswith(" kB, 7 days, 0 images\n")
    text = (state / "miner.html").read_text()
    assert text.startswith("<!doctype html>")
    assert "/srv/models" not in text
    assert str(state) not in text
    assert miner.asked == [{"days": 7.0, "intervals": 120, "counted_days": 7.0}]


def test_a_report_without_a_miner_or_a_history(run: Run, state: Path) -> None:
    code, out, err = run("report", "-o", "miner.html")
    assert (code, out) == (1, "")
    assert err.splitlines()[1:] == [
        "reading its files instead",
        f"error: nothing is remembered of netuid 72 in {state}: start the miner first, "
        "or name its folder with --state_dir",
    ]
    assert not (state / "miner.html").exists()


def test_a_file_that_cannot_be_written(run: Run, miner: Answers) -> None:
    code, _, err = run("report", "-o", "no/such/folder.html")
    assert code == 1
    assert (
        err
        == "error: no/such/folder.html cannot be written (no such file or directory): name another file with --out\n"
    )
