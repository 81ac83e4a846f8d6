"""The operator hears of a miner that does not come back, by that miner's own sinks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from streetvision.alerts.sinks.delivery import ONCE
from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.member import Member
from streetvision.fleet.telling import Teller
from streetvision.settings.alerts import AlertSettings
from streetvision.settings.secret import Secret


class Hook:
    """A webhook on loopback that remembers what it was sent."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.status = "204 No Content"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split()[0])
        self.bodies.append(json.loads(await reader.readexactly(length)))
        writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def hook() -> AsyncIterator[tuple[Hook, str]]:
    one = Hook()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    yield one, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/secret-path"
    server.close()


def told_at(member: Member, url: str) -> Member:
    alerts = AlertSettings(name="the first", webhook_url=Secret(url))
    return replace(member, settings=replace(member.settings, alerts=alerts))


async def test_down_and_back_are_two_messages(fleet: Fleet, hook: tuple[Hook, str]) -> None:
    member, teller = told_at(fleet.members[0], hook[1]), Teller(patience=ONCE, clock=iter((100.0, 160.0)).__next__)
    teller(member, "killed by SIGKILL")
    await teller.close()
    teller(member, None)
    await teller.close()
    down, back = hook[0].bodies
    assert down["title"] == "the first: CRITICAL: the miner hot1 does not stay up"
    (item,) = down["items"]
    assert item["evidence"] == ["It has ended 3 times in a row; the last time: killed by SIGKILL."]
    assert "streetvision fleet logs hot1" in item["remedy"]
    assert back["title"] == "the first: recovered after 60 s: the miner hot1 does not stay up"


async def test_a_recovery_that_nobody_waits_for_is_not_told(fleet: Fleet, hook: tuple[Hook, str]) -> None:
    teller = Teller(patience=ONCE)
    teller(told_at(fleet.members[0], hook[1]), None)
    teller(fleet.members[1], "exit code 1")  # it has no sink but the log
    await teller.close()
    assert hook[0].bodies == []


async def test_a_sink_that_refuses_is_told_in_the_log_without_its_address(fleet: Fleet, hook: tuple[Hook, str]) -> None:
    from loguru import logger

    lines: list[str] = []
    logger.add(lines.append, format="{message}")
    hook[0].status = "404 Not Found"
    teller = Teller(patience=ONCE)
    teller(told_at(fleet.members[0], hook[1]), "exit code 1")
    await teller.close()
    logger.remove()
    said = "".join(lines)
    assert "hot1: the alert did not arrive at webhook (it answers 404" in said
    assert "secret-path" not in said
