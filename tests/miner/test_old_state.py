"""A state folder that commit 8503416 left behind: everything in it is read, served from and kept.

That miner served versions 1.0.0 and 1.1.0 on the mock network: 25 requests, a swap, 25, a rollback, 25 (one request was
no picture); then its UID was lost, of which it could not tell its webhook.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streetvision.alerts.state import FILE as ALERTS
from streetvision.alerts.state import read_alerts
from streetvision.chain.mock.config import dev_hotkey
from streetvision.challenge.exchange import Target, send
from streetvision.control.client import SOCKET_NAME, call
from streetvision.miner.miner import Miner
from streetvision.monitor.history import History, read_history
from streetvision.monitor.history_database import DATABASE as HISTORY
from streetvision.monitor.history_database import FOLDER
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.schema import DATABASE, LOG_FOLDER
from streetvision.settings.network import AxonSettings, SubtensorSettings
from streetvision.settings.settings import Settings
from streetvision.settings.upkeep import LogSettings, MockSettings
from streetvision.status.files import status_from_files
from streetvision.status.schema import Span

from ..conftest import Command

HOTKEY = dev_hotkey("Miner").ss58_address
ROWS, ANSWERED, POINTS = 75, 74, 54
FOR_EVER = 36_500.0


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with tarfile.open(Path(__file__).parent / "state_of_8503416.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "state"


def settings_for(state: Path) -> Settings:
    """As that miner was started; its rows may be older than the log keeps by default when the test runs."""
    return Settings(
        subtensor=SubtensorSettings(network="mock"),
        compile=False,
        threads=1,
        axon=AxonSettings(ip="127.0.0.1", port=0),
        state_dir=state,
        log=LogSettings(max_days=FOR_EVER),
        mock=MockSettings(block_time=0.05, tempo=5),
    )


def version_of(file: Path) -> int:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_commands_read_it_before_any_miner_lifts_it(
    state: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(state)
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(state))

    def told(*words: str) -> list[dict[str, Any]]:
        code, out, err = command(*words, "--json")
        assert (code, err) == (0, "")
        return [json.loads(line) for line in out.splitlines()]

    assert told("log", "stats")[0]["rows"] == ROWS
    models = {model["version"]: model for model in told("models", "list")}
    assert [version for version, model in models.items() if model["active"]] == ["1.0.0"]
    assert models["1.1.0"]["rolled_back"].endswith("rolled back by hand")
    (active,) = told("alerts", "list")[0]["active"]
    assert (active["code"], active["severity"]) == ("deregistered", "critical")
    assert len(command("log", "tail", "-n", "100")[1].splitlines()) == 1 + ROWS
    assert (version_of(state / LOG_FOLDER / DATABASE), version_of(state / FOLDER / HISTORY)) == (1, 1)


def test_status_and_history_are_read(state: Path) -> None:
    points, (bucket,) = read_history(state / FOLDER, HOTKEY, 72)
    assert len(points) == POINTS
    assert (bucket.requests, bucket.answered, bucket.models) == (ROWS, ANSWERED, {"1.0.0": 50, "1.1.0": 24})
    days = Span(days=1.0)
    status = status_from_files(settings_for(state), points[-1].time + 60.0, days)
    assert status["standing"] is not None
    assert status["standing"]["uid"] is None
    assert status["traffic"]["answered"] == ANSWERED
    assert "deregistered" in {finding["code"] for finding in status["findings"]}


def test_history_is_lifted_and_loses_nothing(state: Path) -> None:
    before, traffic = read_history(state / FOLDER, HOTKEY, 72)
    history = History(state / FOLDER, HOTKEY, 72, now=lambda: before[-1].time + 60.0)
    history.close()
    assert version_of(state / FOLDER / HISTORY) == 2
    assert (history.points, history.buckets) == (before, traffic)
    assert read_history(state / FOLDER, HOTKEY, 72) == (before, traffic)


async def test_a_miner_goes_on_from_it(state: Path) -> None:
    (_, waiting), pictures = read_alerts(state / FOLDER / ALERTS), images(state)
    assert [alert.items[0].finding.code for alert in waiting["webhook"]] == ["deregistered"]
    miner = Miner(settings_for(state))
    await miner.start()
    try:
        assert miner.models.manager.serving.version == "1.0.0"
        target = Target("127.0.0.1", miner.axon.port, HOTKEY)
        picture = (state / LOG_FOLDER / "images" / pictures[0]).read_bytes()
        outcome = await asyncio.to_thread(send, target, dev_hotkey("Bob"), picture)
        assert outcome.status == 200, outcome
        models = await asyncio.to_thread(call, state / SOCKET_NAME, "status")
        await asyncio.to_thread(miner.monitoring.alerts.start)
        alerts = await asyncio.to_thread(call, state / SOCKET_NAME, "alerts")
    finally:
        assert await miner.close()
    assert [(decision["event"], decision["version"]) for decision in models["decisions"]] == [
        ("swap", "1.1.0"),
        ("rollback", "1.1.0"),
    ]
    assert [active["code"] for active in alerts["active"]] == ["deregistered"]
    with LogReader(state / LOG_FOLDER) as reader:
        rows = list(reader.rows(embeddings=True))
    assert version_of(state / LOG_FOLDER / DATABASE) == 4
    assert len(rows) == ROWS + 1
    assert sum(row.embedding is not None for row in rows) == ANSWERED + 1
    assert {row.image for row in rows} == {"stored"}
    assert set(images(state)) >= set(pictures)
    assert outcome.probability == rows[-1].probability


def images(state: Path) -> list[str]:
    folder = state / LOG_FOLDER / "images"
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
