"""The fleet's port over HTTP, with one miner that answers at its socket and two that do not."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from streetvision.control.client import SOCKET_NAME
from streetvision.control.server import ControlServer
from streetvision.errors import OperatorError
from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.site import FleetSite, Fresh
from streetvision.page.page import SERVED_POLICY
from streetvision.status.live import span_of
from streetvision.status.schema import OPERATION

from ..status.worlds import status
from .snapshots import KEPT


class Miner:
    """Answers as a miner does, or with what it is told."""

    text: Any = "# TYPE streetvision_ready gauge\nstreetvision_ready 1\n"

    async def snapshot(self, arguments: Mapping[str, Any], _progress: Any) -> Mapping[str, Any]:
        return status(span=span_of(arguments))

    async def metrics(self, _arguments: Mapping[str, Any], _progress: Any) -> Mapping[str, Any]:
        return {"text": self.text}


@pytest.fixture
def miner() -> Miner:
    return Miner()


@pytest.fixture
async def port(fleet: Fleet, miner: Miner) -> AsyncIterator[int]:
    """Of a fleet that serves; hot1 answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = int(probe.getsockname()[1])
    folder = fleet.members[0].folder
    folder.mkdir(parents=True)
    control = ControlServer(folder / SOCKET_NAME, {OPERATION: miner.snapshot, "metrics": miner.metrics})
    site = FleetSite(replace(fleet, port=free), lambda: KEPT)
    await control.start()
    await site.start()
    yield free
    await site.close()
    await control.close()


async def get(port: int, path: str) -> tuple[int, str, str]:
    """Status, policy, body."""

    def ask() -> tuple[int, str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.headers["content-security-policy"], reply.read().decode()
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def test_the_page_and_its_json(port: int) -> None:
    code, policy, page = await get(port, "/")
    assert (code, policy) == (200, SERVED_POLICY)
    assert "1 of 3 serving" in page
    code, _, body = await get(port, "/api/fleet.json")
    found = json.loads(body)
    assert (code, found["schema"], found["keeper"]) == (200, 1, None)
    assert [row["state"] for row in found["miners"]] == ["serving", "down", "starting"]


async def test_each_miners_own_page(port: int) -> None:
    code, policy, page = await get(port, "/miners/hot1/")
    assert (code, policy) == (200, SERVED_POLICY)
    assert "streetvision · UID 8" in page
    assert json.loads((await get(port, "/miners/hot1/api/status.json"))[2])["miner"]["state"] == "serving"
    assert (await get(port, "/miners/hot1/metrics"))[2].endswith("streetvision_ready 1\n")
    code, _, body = await get(port, "/miners/hot2/")
    assert code == 503
    assert "no miner runs" in json.loads(body)["message"]
    assert (await get(port, "/miners/../hot1/"))[0] == 404


async def test_the_metrics_of_all(port: int) -> None:
    code, _, text = await get(port, "/metrics")
    assert code == 200
    lines = text.splitlines()
    assert 'streetvision_ready{hotkey="hot1"} 1.0' in lines
    assert 'streetvision_up{hotkey="hot1"} 1.0' in lines
    assert 'streetvision_up{hotkey="hot2"} 0.0' in lines
    assert 'streetvision_fleet_restarts_total{hotkey="hot2"} 4.0' in lines


@pytest.mark.parametrize("text", [None, "no metrics at all {"])
async def test_a_miner_with_strange_metrics_costs_the_others_nothing(port: int, miner: Miner, text: Any) -> None:
    miner.text = text
    code, _, body = await get(port, "/metrics")
    assert code == 200
    assert 'streetvision_up{hotkey="hot1"} 0.0' in body.splitlines()


async def test_alive(port: int) -> None:
    assert (await get(port, "/healthz"))[0] == 200


async def test_a_port_in_use_is_one_sentence(fleet: Fleet, port: int) -> None:
    with pytest.raises(OperatorError, match=r"already in use: .* choose another port in \[fleet\]"):
        await FleetSite(replace(fleet, port=port), dict).start()


async def test_many_askers_cost_one_look() -> None:
    made: list[int] = []
    times = iter((0.0, 0.5, 0.9, 2.0, 2.0))
    fresh = Fresh(lambda: made.append(1) or len(made), clock=lambda: next(times))  # type: ignore[func-returns-value]
    assert [await fresh(), await fresh(), await fresh(), await fresh()] == [1, 1, 1, 2]
