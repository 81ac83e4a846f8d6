"""`streetvision status` and `streetvision report`: on a terminal, in a pipe, as JSON and as a file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from rich.cells import cell_len
from rich.console import Console

from streetvision.base.start_steps import StartSteps
from streetvision.base.state_folder import only_one
from streetvision.cli.status_view import GAP, bar, spark_width, sparkline, view
from streetvision.control.client import SOCKET_NAME
from streetvision.control.server import Handler
from streetvision.monitor.observation import RefusalView
from streetvision.monitor.retraining import RetrainView, RunView
from streetvision.status.live import span_of
from streetvision.status.schema import OPERATION, Status
from streetvision.status.wording import end_words, printable, retrain_words

from ..status.worlds import FACTS, HOSTILE, MODELS, fresh, hostile, observed, retraining, status

Run = Callable[..., tuple[int, str, str]]


REFUSED = tuple(
    RefusalView(reason, reason, total, recent, 5.0)
    for reason, total, recent in (
        *(("headers_dropped", 120, 120), ("unknown_path", 20_000, 20_000), ("tls", 11, 11)),
        *(("http2", 1, 1), ("silent", 1, 1), ("method", 13, 0)),
    )
)


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


def test_a_pipe_gets_the_same_view_as_plain_text(run: Run, miner: Answers) -> None:
    code, out, err = run("status")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    lines = dict(line.split(None, 1) for line in out.splitlines() if line and not line.startswith(" ") and " " in line)
    assert lines["streetvision"].startswith("0.1.0  ● serving")
    assert lines["rank"].startswith("47 of 248")
    assert lines["model"].startswith("1.4.0 (street-b), for 25 h")
    assert lines["trial"] == "canary 1.5.0 answers 10 % of the images: wait"
    assert lines["machine"].startswith("200.0 GiB disk free")
    assert "validator-7" in out


@pytest.mark.parametrize("columns", [None, "60", "200"])
@pytest.mark.parametrize("found", [status, fresh, hostile], ids=["usual", "fresh", "hostile"])
def test_plain_lines_have_at_most_eighty_columns(
    run: Run, miner: Answers, monkeypatch: pytest.MonkeyPatch, found: Callable[[], Status], columns: str | None
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    miner.found = found()
    code, out, _ = run("status")
    assert code == 0
    assert max(cell_len(line.rstrip()) for line in out.splitlines()) <= min(80, int(columns or 80))


def test_what_is_too_long_goes_on_clear_of_its_word(run: Run, miner: Answers) -> None:
    lines = run("status")[1].splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("machine"))
    assert lines[place + 1].startswith(" " * 10 + "60.0 GiB GPU memory")


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


@pytest.fixture
def starting(state: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[StartSteps]:
    """A miner that began its start nine seconds ago and connects to the chain since four."""
    now = time.time()
    times = iter((now - 9, now - 9, now - 4))
    steps = StartSteps(state, clock=lambda: next(times))
    steps.begin("loading libraries")
    steps.begin("connecting to the chain")
    capsys.readouterr()
    yield steps
    steps.close()


def test_a_miner_that_is_starting_says_its_step(run: Run, starting: StartSteps) -> None:
    step = f"connecting to the chain, for 4 s (process {os.getpid()}, started 9 s ago)"
    assert run("status") == (3, f"starting: {step}\n", "")
    code, out, err = run("status", "--json")
    fields = json.loads(out)
    assert (code, err) == (3, "")
    assert fields["schema"] == 1
    assert fields["miner"]["state"] == "starting"
    assert (fields["miner"]["why"], fields["miner"]["step"]) == (step, "connecting to the chain")
    code, _, err = run("models", "status")
    assert code == 1
    assert f"is starting: {step}" in err


def test_a_start_that_is_over_is_not_told(run: Run, starting: StartSteps, state: Path) -> None:
    left = (state / "starting.json").read_bytes()
    starting.close()
    assert not (state / "starting.json").exists()
    (state / "starting.json").write_bytes(left)  # what a killed process leaves
    code, out, err = run("status")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: no miner runs with the state folder {state}")


def test_a_miner_that_is_stopping(run: Run, state: Path) -> None:
    with only_one(state, "miner", remedy=""):
        sentence = f"the miner in {state} (process {os.getpid()}) is stopping: wait until it has ended"
        assert run("status") == (1, "", f"error: {sentence}\n")


def test_watching_begins_while_the_miner_starts(
    run: Run, starting: StartSteps, answer: Callable[[Mapping[str, Handler]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            starting.close()
            answer({OPERATION: Answers()})
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pause)
    code, out, err = run("status", "--watch", "--json")
    assert (code, err) == (0, "")
    first, second = (json.loads(line) for line in out.splitlines())
    assert first["miner"]["state"] == "starting"
    assert second["miner"]["state"] in ("serving", "degraded")


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
@pytest.mark.parametrize(
    "found",
    [
        status,
        fresh,
        lambda: printable(hostile()),
        lambda: status(refusals=REFUSED),
        lambda: status(retrain=retraining(state="failed", step="train")),
    ],
    ids=["usual", "fresh", "hostile", "refusing", "retraining"],
)
def test_a_watched_screen_fits(found: Callable[[], Status], width: int, height: int) -> None:
    lines = drawn(found(), width, height)
    assert len(lines) <= height
    assert max(len(line.rstrip()) for line in lines) <= width


def test_refusals_by_reason() -> None:
    told = "headers_dropped, 20,000 unknown_path, 11 tls, 2 others in the last hour; 20,146 since the start"
    assert f"refused   120 {told}" in "\n".join(drawn(status(refusals=REFUSED), 120))
    assert "refused" not in "\n".join(drawn(status(refusals=()), 120))
    assert status(refusals=REFUSED)["refusals"][0] == {  # type: ignore[index]  # a miner runs
        "reason": "headers_dropped", "words": "headers_dropped", "total": 120, "recent": 120, "last": 5.0,
    }  # fmt: skip


def test_the_last_retraining_and_the_next() -> None:
    line = "retrain   promoted 1.4.0 60 min ago; next 2026-11-21 21:06 UTC"
    calm = status(replace(FACTS, models=MODELS | {"candidate": None}), retrain=retraining())
    assert line in [each.rstrip() for each in drawn(calm, 80, 24)]
    tried = status(retrain=retraining())
    assert [any(each.rstrip() == line for each in drawn(tried, width, 24)) for width in (80, 120)] == [False, True]
    failed = retraining(state="failed", step="train", reason="the disk is full", remedy="free some")
    text = "\n".join(line.strip() for line in drawn(status(retrain=failed), 120))
    assert "failed 1.4.0 60 min ago, step train" in text
    assert text.count("he disk is full") == 1, "the finding gives the reason"
    assert "3.2 GPU hours, 6.50 of money this month\nthe model is 5.0 days old" in text
    assert "retrain" not in "\n".join(drawn(status(), 120))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"last": None}, "no run yet; no `streetvision retrain serve` runs"),
        ({"last": None, "paused_since": 0.0, "pause_reason": "cards"}, "paused since 1970-01-01 00:00 UTC (cards)"),
        ({"last": None, "configured": False}, "no run yet; not configured any more"),
        ({"last": None, "next_run": 0.0}, "no run yet; the next is due now"),
        ({"problem": "the log of retraining x: it is damaged"}, "the log of retraining x: it is damaged"),
    ],
)
def test_how_retraining_stands_in_words(changes: dict[str, Any], words: str) -> None:
    assert retrain_words(status(retrain=RetrainView(**changes))).endswith(words)


def test_a_run_that_no_finding_tells_of_says_why_here() -> None:
    view = retraining(state="interrupted", ended=None, step="train", reason="", remedy="")
    skipped = replace(view, skipped=RunView("n", "nothing_to_do", observed().now - 60.0, reason="20 new labels"))
    text = "\n".join(line.strip() for line in drawn(status(retrain=skipped), 120))
    assert "interrupted 1.4.0 2 h ago, step train" in text
    assert "no run began 60 s ago: 20 new labels" in text
    stopped = status(retrain=retraining(state="stopped", reason="you stopped it", remedy="the next run goes on"))
    assert end_words(stopped) == "you stopped it; the next run goes on"


def test_a_miner_of_before_retraining_is_shown_too() -> None:
    found = dict(status())
    del found["retrain"]
    assert "retrain" not in "\n".join(drawn(cast(Status, found), 120))


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
    for text in ("\n".join(drawn(printable(hostile()), width, height)) for width, height in ((80, None), (200, 60))):
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
