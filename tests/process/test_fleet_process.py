"""`streetvision fleet up` with two real miners: one is killed, the other answers all the while; all end in order."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bittensor import Wallet

from streetvision.fleet.asking import NotUp, kept_by
from streetvision.fleet.fleet_file import Fleet, load_fleet
from streetvision.fleet.keeper import Kept
from streetvision.fleet.overview import fleet_status
from streetvision.fleet.running import holder
from streetvision.fleet.schema import FleetStatus

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]
PATIENCE_S = 120.0
CLI = "from streetvision.cli.main import main; main()"
TEXT = """
[fleet]
port = {page}
state_dir = "{folder}/s"
[shared]
subtensor.network = "mock"
wallet.name = "cold"
wallet.path = "{folder}/w"
axon.ip = "127.0.0.1"
model = "{checkpoint}"
compile = false
threads = 1
log.max_gib = 1
[miners.hot1]
axon.port = {first}
[miners.hot2]
axon.port = {second}
"""


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class FleetUp:
    """The fleet's commands, each in a process of its own, in a folder with a short path."""

    def __init__(self, folder: Path, fleet: Fleet) -> None:
        self.fleet = fleet
        self._folder = folder
        self._up: list[subprocess.Popen[bytes]] = []

    def _begin(self, *words: str, **how: Any) -> subprocess.Popen[bytes]:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", CLI, "fleet", *words]
        return subprocess.Popen(command, cwd=self._folder, env=environ, **how)

    def up(self) -> subprocess.Popen[bytes]:
        """Start `fleet up`."""
        with (self._folder / "up.log").open("ab") as log:
            self._up.append(self._begin("up", stdout=log, stderr=log))
        return self._up[-1]

    def run(self, *words: str) -> tuple[int, str]:
        """Exit code and stdout."""
        process = self._begin(*words, stdout=subprocess.PIPE)
        out, _ = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out.decode()

    def get(self, path: str) -> str:
        """What the fleet's port says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.fleet.port, timeout=20)
        connection.request("GET", path)
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def until(self, happened: Callable[[FleetStatus], bool]) -> FleetStatus:
        """Until the status is so."""
        limit = time.monotonic() + PATIENCE_S
        while not happened(found := fleet_status(self.fleet, self._kept())):
            assert time.monotonic() < limit, f"{found}\n{(self._folder / 'up.log').read_text()}"
            time.sleep(0.1)
        return found

    def until_metrics(self, line: str) -> None:
        """Until the metrics have this line; they may be a second old."""
        limit = time.monotonic() + PATIENCE_S
        while line not in (text := self.get("/metrics")).splitlines():
            assert time.monotonic() < limit, text
            time.sleep(0.1)

    def _kept(self) -> dict[str, Kept]:
        try:
            return kept_by(self.fleet)
        except NotUp:
            return {}

    def close(self) -> None:
        """Kill what is left."""
        pids = [holder(member) for member in self.fleet.members]
        for process in self._up:
            process.kill()
            process.wait(10)
        for pid in pids:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def fleet(checkpoint: Path) -> Iterator[FleetUp]:
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        folder = Path(name)
        for hotkey in ("hot1", "hot2"):
            wallet = Wallet("cold", hotkey, str(folder / "w"))
            wallet.create_new_hotkey(use_password=False, overwrite=True, suppress=True)
        page, first, second = free_ports(3)
        text = TEXT.format(folder=folder, checkpoint=checkpoint, page=page, first=first, second=second)
        (folder / "fleet.toml").write_text(text)
        one = FleetUp(folder, load_fleet(folder / "fleet.toml", {}))
        yield one
        one.close()


def test_a_killed_miner_comes_back_while_the_other_answers(fleet: FleetUp, load_on: Callable[..., Any]) -> None:
    keeper = fleet.up()
    found = fleet.until(lambda status: status["totals"]["serving"] == 2)
    assert found["keeper"] == keeper.pid
    code, out = fleet.run("status", "--json")
    assert (code, json.loads(out)["totals"]["serving"]) == (0, 2)
    first, second = found["miners"]
    assert first["hotkey"] != second["hotkey"]
    fleet.until_metrics('streetvision_up{hotkey="hot1"} 1.0')
    assert "2 of 2 serving" in fleet.get("/")

    with load_on(second["port"], pause_s=0.3, receiver=second["hotkey"]) as load:
        load.wait_for(3)
        os.kill(first["pid"] or 0, signal.SIGKILL)
        down = fleet.until(lambda status: status["miners"][0]["state"] != "serving")
        assert down["miners"][1]["state"] == "serving"
        fleet.until_metrics('streetvision_up{hotkey="hot1"} 0.0')
        found = fleet.until(lambda status: status["totals"]["serving"] == 2)
    assert set(load.statuses) == {200}
    assert [row["restarts"] for row in found["miners"]] == [1, 0]
    assert found["miners"][0]["ended"] == "killed by SIGKILL"
    assert found["miners"][1]["pid"] == second["pid"]

    keeper.kill()  # whoever keeps them may die: they serve on, and the next one takes them over
    keeper.wait(10)
    again = fleet.up()
    taken = fleet.until(lambda status: status["keeper"] == again.pid)
    assert [row["pid"] for row in taken["miners"]] == [row["pid"] for row in found["miners"]]

    assert fleet.run("down", "--json") == (0, '{"stopped": ["the fleet"]}\n')
    assert again.wait(10) == 0
    assert [holder(member) for member in fleet.fleet.members] == [None, None]
