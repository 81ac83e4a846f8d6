"""The axon opens and closes: its gate, its port, what is in flight when it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streetvision.errors import OperatorError

from . import conftest as kit
from .conftest import Axon, MakeAxon


class Gate:
    closed: str | None = None


@pytest.mark.parametrize("reason", ["starting", "draining", "deregistered"])
async def test_the_gate_says_why(reason: str, make_axon: MakeAxon) -> None:
    gate = Gate()
    axon = await make_axon(gate=gate)
    gate.closed = reason
    reply = await axon.ask()
    assert (reply.status, axon.counted(503, reason)) == (503, 1)
    assert reason in reply.json["message"]
    gate.closed = None
    assert (await axon.ask()).status == 200


async def test_no_metagraph_yet(make_axon: MakeAxon) -> None:
    axon = await make_axon(metagraph=lambda: None)
    assert (await axon.ask()).status == 503
    assert axon.counted(503, "no_metagraph") == 1


async def test_drain_answers_what_is_in_flight_and_refuses_the_rest(make_axon: MakeAxon) -> None:
    release = asyncio.Event()

    async def wait(image: bytes) -> Any:
        await release.wait()
        return kit.prediction()

    axon = await make_axon(predictor=kit.CountingPredictor(wait))
    asked = asyncio.create_task(axon.ask())
    while not axon.predictor.images:
        await asyncio.sleep(0.005)
    axon.server.stop_admitting("draining")
    assert (await axon.ask(headers=kit.signed(kit.BOB))).status == 503
    assert not await axon.server.drain(0.02)
    release.set()
    assert await axon.server.drain(5.0)
    assert (await asked).status == 200
    await axon.server.close()
    with pytest.raises(ConnectionRefusedError):
        await axon.connect()


async def test_close_cuts_what_does_not_end(make_axon: MakeAxon) -> None:
    async def hang(image: bytes) -> Any:
        await asyncio.sleep(60)

    axon = await make_axon(predictor=kit.CountingPredictor(hang))
    idle = await axon.connect()
    asked = asyncio.create_task(axon.ask())
    while not axon.predictor.images:
        await asyncio.sleep(0.005)
    await asyncio.wait_for(axon.server.close(), 5)
    results = await asyncio.gather(asked, return_exceptions=True)
    assert getattr(results[0], "status", 500) == 500
    idle[1].close()


async def test_a_taken_port_is_one_sentence(axon: Axon, make_axon: MakeAxon) -> None:
    with pytest.raises(OperatorError, match=r"already in use: .*--axon\.port"):
        await make_axon(port=axon.port)


@pytest.mark.parametrize("host", ["192.0.2.1", "not-an-address"])
async def test_a_bad_address_is_one_sentence(host: str, make_axon: MakeAxon) -> None:
    with pytest.raises(OperatorError, match=r"--axon\.ip"):
        await make_axon(hosts=(host,))


async def test_a_bad_port_is_one_sentence(make_axon: MakeAxon) -> None:
    with pytest.raises(OperatorError, match="70000 is not a port"):
        await make_axon(port=70_000)
