"""The App on a saved view: where it listens, and that a real browser shows the picks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streetvision.errors import ConfigError, OperatorError
from streetvision.mining.app import AppOptions, check_address, exposure, open_app
from streetvision.mining.database import URI_VARIABLE
from streetvision.mining.hard import HardOptions, mine_hard
from streetvision.scenes.challenges import challenge

from .browser import find_browser, open_page
from .conftest import COMMAND, Mine

Jpeg = Callable[[int], bytes]


@contextmanager
def running_app(mine: Mine, mongod: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """`streetvision mine app` in a process of its own; what it printed."""
    command = [*COMMAND, "mine", "app", "--remote", "--port", "0", "--json"]
    environ = {**os.environ, URI_VARIABLE: mongod, "STREETVISION_STATE_DIR": str(mine.state)}
    command += ["--dataset", mine.dataset.name, *arguments]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline() or "null")
        finally:
            process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    # FiftyOne may have said before that its own session was slow to connect.
    assert (process.returncode, err.splitlines()[-1:]) == (0, ["stopped"])


def test_a_browser_shows_the_picks_and_loads_them(mine: Mine, mongod: str, tmp_path: Path) -> None:
    browser = find_browser()
    if browser is None:
        pytest.skip("no Chromium is installed")
    writer = mine.writer
    vectors = np.eye(24, dtype=np.float32)
    images = [challenge(400 + i, native=False).jpeg for i in range(24)]
    writer.write(*(writer.answered(data, i - 12.0, embedding=vectors[i]) for i, data in enumerate(images)))
    mine.sync()
    report = mine_hard(mine.fo, mine.dataset, mine.pictures, HardOptions(k=6))
    with running_app(mine, mongod) as said:
        assert said["pictures"] == 6
        assert said["url"].startswith("http://127.0.0.1:")
        with open_page(browser, said["url"], tmp_path / "profile") as page:
            page.wait_for("document.body.innerText.includes('6 samples')")
            page.wait_for(f"document.body.innerText.includes('{report.picks[0].why[:16]}')")
            media = f"fetch('/media?filepath={report.picks[0].path}').then(r => window.seen = r.status)"
            page.evaluate(media)
            assert page.wait_for("window.seen") == 200


def test_a_view_that_is_not_there_is_a_sentence(mine: Mine) -> None:
    with pytest.raises(OperatorError, match="mine hard"), open_app(mine.fo, mine.dataset, AppOptions("nothing")):
        pass


def test_a_taken_port_is_a_sentence(mine: Mine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = AppOptions(port=taken.getsockname()[1])
        with pytest.raises(OperatorError, match="--port"), open_app(mine.fo, mine.dataset, options):
            pass


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("[::1]", "::1"), ("0.0.0.0", "0.0.0.0")],
)
def test_addresses(text: str, address: str) -> None:
    assert check_address(text) == address
    assert bool(exposure(address)) == (address == "0.0.0.0")


@pytest.mark.parametrize("text", ["", "everywhere", "1.2.3", "127.0.0.1:5151"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigError, match="127"):
        check_address(text)
