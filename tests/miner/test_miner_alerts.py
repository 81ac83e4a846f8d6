"""The whole miner in this process: a lost UID reaches the operator's webhook, and the command shows it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import torch

from streetvision.alerts.schedule import AlertPolicy
from streetvision.base.state_folder import MOCK_SOCKET
from streetvision.chain.mock.bridge_client import MockBridgeClient
from streetvision.control.client import SOCKET_NAME, call
from streetvision.miner.miner import Miner
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.monitor.finding import Severity
from streetvision.settings.alerts import AlertSettings
from streetvision.settings.model import ModelSettings
from streetvision.settings.network import AxonSettings, SubtensorSettings
from streetvision.settings.secret import Secret
from streetvision.settings.settings import Settings
from streetvision.settings.upkeep import MockSettings

AT_ONCE = {Severity.WARNING: 1e9, Severity.CRITICAL: 0.0}


async def test_a_lost_uid_is_told(tmp_path: Path) -> None:
    got: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        got.put_nowait(json.loads(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    miner = Miner(settings(tmp_path, server.sockets[0].getsockname()[1]))
    try:
        await miner.start()
        miner.monitoring.alerts._policy = AlertPolicy(hold_s=AT_ONCE)
        serving = asyncio.create_task(miner.monitoring.alerts.run())
        async with MockBridgeClient(tmp_path / "state" / MOCK_SOCKET) as chain:
            await chain.deregister(miner.wallet.ss58_address)
        while miner.gate.closed != "deregistered":
            await asyncio.sleep(0.02)
        await miner.monitoring.monitor.look()
        told = await asyncio.wait_for(got.get(), 20.0)
        listed = await asyncio.to_thread(call, tmp_path / "state" / SOCKET_NAME, "alerts")
        serving.cancel()
    finally:
        await miner.close()
        server.close()
    assert (told["miner"], told["items"][0]["code"]) == ("mocky", "deregistered")
    assert told["items"][0]["remedy"].startswith("Register again: python neurons/miner.py")
    assert "SECRET" not in json.dumps(told) + json.dumps(listed)
    assert [active["code"] for active in listed["active"]] == ["deregistered"]
    assert listed["sinks"][0]["where"].startswith("http://127.0.0.1:")


def settings(folder: Path, port: int) -> Settings:
    torch.manual_seed(0)
    config = tiny_config(depth=1)
    save_checkpoint(folder / "tiny", config, build(config).state_dict())
    return Settings(
        subtensor=SubtensorSettings(network="mock"),
        model=ModelSettings(choice=str(folder / "tiny")),
        compile=False,
        threads=1,
        axon=AxonSettings(ip="127.0.0.1", port=0),
        state_dir=folder / "state",
        mock=MockSettings(block_time=0.05),
        alerts=AlertSettings(name="mocky", webhook_url=Secret(f"http://127.0.0.1:{port}/SECRET")),
    )
