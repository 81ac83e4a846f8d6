"""Log lines: JSON for machines, one line per request while they are rare, a summary when there are many."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from loguru import logger

from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.base.log_text import MAX_CHARACTERS
from streetvision.base.logs import configure_logging, flush_log
from streetvision.engine.types import Prediction, Timings
from streetvision.miner.request_log import RequestLog, describe_request


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def written(stream: io.StringIO) -> str:
    assert flush_log(5.0)
    return stream.getvalue()


def record(status: int = 200, reason: str = "ok") -> RequestRecord:
    answer = Prediction(0.25, -1.1, np.zeros(2, np.float32), "1.0.0", 1, 1, 640, 480, Timings(0.003, 0.0, 0.03))
    return RequestRecord(
        dialect=Dialect.LEGACY, hotkey="5Bob", uid=1, stake=10.0, authenticated=True, status=status, reason=reason,
        image=b"", prediction=answer if status == 200 else None, arrival=0.0, headroom=8.2,
        stages=StageTimings(0.001, 0.001, 0.038, 0.0), remote="192.0.2.1",
    )  # fmt: skip


def test_a_picture_without_its_end_is_named_in_its_line() -> None:
    whole = record()
    assert whole.prediction is not None
    cut = replace(whole, prediction=replace(whole.prediction, decoded=0.964))
    assert "0.250 for 640x480 in" in describe_request(whole)
    assert "0.250 for 640x480 (96% of it, its file lacks the end) in" in describe_request(cut)


def test_json_lines_hold_message_level_and_exception(stream: io.StringIO) -> None:
    configure_logging(as_json=True, stream=stream)
    logger.bind(uid=7).info("hello {}", "you")
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("failed")
    first, second = (json.loads(line) for line in written(stream).splitlines())
    assert (first["message"], first["level"], first["uid"]) == ("hello you", "INFO", 7)
    assert second["exception"] == "no"


HOSTILE = "x\n2026-11-30 09:00:00.000 | ERROR   | forged\x1b[2J\r\x07\x9b31m\u2028\u202e\udc80"


def test_what_others_wrote_neither_forges_a_line_nor_steers_a_terminal(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    logger.info("a peer says {}", HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logger.exception("failed")
    told = written(stream)
    assert not any(character in told for character in "\x1b\r\x07\x9b\u2028\u202e")
    assert r"forged\x1b[2J\x0d\x07\x9b31m\u2028\u202e" in told
    lines = told.split("\n")
    assert [line[26:] for line in lines if line.startswith("2026") or line[:1].isdigit()] == [
        "INFO    | a peer says x",
        "ERROR   | failed",
    ]
    assert "    Traceback (most recent call last):" in lines


def test_a_huge_text_is_cut_and_not_lost(stream: io.StringIO) -> None:
    for as_json in (False, True):
        configure_logging(as_json=as_json, stream=stream)
        logger.info("{}", "y" * 3_000_000)
        try:
            raise ValueError("z" * 3_000_000)
        except ValueError:
            logger.exception("big")
        written(stream)
    lines = [line for line in stream.getvalue().splitlines() if "left out" in line]
    assert len(lines) == 4
    assert max(map(len, lines)) < 2 * MAX_CHARACTERS
    assert json.loads(lines[-1])["message"] == "big"
    assert "dropped" not in stream.getvalue()


def test_a_library_whose_line_is_broken_does_not_fail_by_it(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(stream=stream)
    logging.getLogger("lib").warning("%d of them", "no number")
    logging.getLogger("lib").warning("the next")
    assert "lib: the next" in written(stream)
    assert "'%d of them'" in capsys.readouterr().err


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_process_whose_streams_were_closed(closed: str) -> None:
    """The next file opened would stand in their place, and be printed into."""
    code = (
        "import os, sys, tempfile\n"
        "from streetvision.base.logs import close_log, configure_logging, take_over_streams\n"
        "from loguru import logger\n"
        "configure_logging(); take_over_streams(); logger.info('a line')\n"
        "print('a line'); print('a line', file=sys.stderr)\n"
        "close_log(); sys.stdout.flush(); file = tempfile.TemporaryFile()\n"
        "sys.exit(7 if file.fileno() > 2 else 8)\n"
    )
    command = f'exec "$0" -c "$1" {closed}'
    arguments = ["sh", "-c", command, sys.executable, code]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 7, done.stderr
    if "2>" not in closed:
        assert done.stderr.count("a line") == 3


def test_library_records_arrive_and_rooms_are_named(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    noisy = logging.getLogger("noisylib")
    noisy.addHandler(logging.StreamHandler(sys.stderr))
    noisy.propagate = False
    configure_logging(as_json=True, stream=stream)
    noisy.warning("look")
    logging.getLogger("streetvision.runner.torch_runner").info("warm")
    messages = [json.loads(line)["message"] for line in written(stream).splitlines()]
    assert messages == ["noisylib: look", "runner: warm"]
    assert capsys.readouterr().err == ""


def test_debug_lines_only_when_asked(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    logger.debug("quiet")
    configure_logging(debug=True, stream=stream)
    logger.debug("loud")
    assert "quiet" not in written(stream)
    assert "loud" in written(stream)


def test_request_lines() -> None:
    assert describe_request(record()) == (
        "answered UID 1: 0.250 for 640x480 in 40 ms (decode 3, queue 0, model 30), 8.2 s to spare"
    )
    assert describe_request(record(503, "overloaded")) == "refused UID 1: 503 overloaded"


def test_many_requests_become_a_summary(stream: io.StringIO) -> None:
    configure_logging(as_json=True, stream=stream)
    now = 0.0
    log = RequestLog(lambda: now, lines_per_minute=3)
    for _ in range(10):
        log(record())
    log(record(401, "signature"))
    assert len(written(stream).splitlines()) == 3
    assert log.summary() == "10 answered (median 40 ms), 1 refused: 1 x 401 signature"
    now = 61.0
    log.roll()
    assert "lines saved: 10 answered" in written(stream).splitlines()[-1]
    log(record())
    assert len(written(stream).splitlines()) == 5


def test_a_quiet_minute_needs_no_summary(stream: io.StringIO) -> None:
    configure_logging(as_json=True, stream=stream)
    now = 0.0
    log = RequestLog(lambda: now)
    log(record())
    now = 61.0
    log.roll()
    assert len(written(stream).splitlines()) == 1
