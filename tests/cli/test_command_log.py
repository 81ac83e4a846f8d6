"""What rooms log while a command runs reads like a sentence: no time, no module, no line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from loguru import logger

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(command: Run, state: Path) -> Run:
    return command


def test_the_alert_of_a_test_is_one_sentence(run: Run) -> None:
    code, out, err = run("alerts", "test")
    assert code == 0
    assert out == "ok    log       the miner's log                  it arrived\n"
    assert err.splitlines()[0] == "alert: streetvision: this is a test, alerts arrive"


def test_the_log_follows_stderr(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("alerts", "list")
    logger.info("all {}", "well")
    logger.warning("take {}", "care")
    logger.debug("hidden")
    assert capsys.readouterr().err == "all well\nwarning: take care\n"
