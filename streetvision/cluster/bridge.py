"""The miner's way into Ray, as a process of its own: `python -m streetvision.cluster.bridge FD OPTIONS`.

Ray ends any process that has lost its cluster for a minute, and its threads compete for Python's lock. So the miner
imports nothing of it: it sends frames through a socket, and this process is what Ray sees.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from streetvision.cluster.frames import FRAME_LIMIT, read_frame, write_frame
from streetvision.cluster.local import connect, prepare_environment
from streetvision.cluster.options import APP, DeployOptions
from streetvision.cluster.ray_failures import failure_of
from streetvision.engine.remote_wire import failure_head
from streetvision.engine.transport import RemoteFailure

WARM_SECONDS = 120.0


class Bridge:
    """Hands each frame to a replica and its answer back."""

    def __init__(self, handle: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ANN401 - Serve's
        self._handle, self._reader, self._writer = handle, reader, writer
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._warmed: dict[str, asyncio.Task[None]] = {}
        """By version: telling every replica of it."""

    async def run(self) -> None:
        """Until the miner is gone."""
        with suppress(EOFError, ConnectionError):
            while True:
                head, block = await read_frame(self._reader)
                if "cancel" in head:
                    self._cancel(int(head["cancel"]))
                else:
                    number = int(head["id"])
                    self._tasks[number] = asyncio.ensure_future(self._answer(number, head, block))

    def _cancel(self, number: int) -> None:
        task = self._tasks.get(number)
        if task is not None:
            task.cancel()

    async def _answer(self, number: int, head: Mapping[str, Any], block: bytes) -> None:
        try:
            told, answer = await self._asked(head, block)
        except Exception as error:  # noqa: BLE001 - whatever Ray raises is told to the miner
            told, answer = failure_head(failure_of(error)), b""
        finally:
            self._tasks.pop(number, None)
        write_frame(self._writer, {**told, "id": number}, answer)
        await self._writer.drain()

    async def _warm(self, version: str) -> None:
        """Let every replica load a version, not only the one that is asked first: the others would stay cold."""
        try:
            await self._handle.broadcast("warm", version).results_async(timeout_s=WARM_SECONDS)
        except Exception:  # noqa: BLE001 - Ray's; whoever asks for the version is told what is wrong with it
            del self._warmed[version]

    async def _asked(self, head: Mapping[str, Any], block: bytes) -> tuple[dict[str, Any], bytes]:
        version = str(head["model"][0])
        if version not in self._warmed:
            self._warmed[version] = asyncio.ensure_future(self._warm(version))
        response = self._handle.options(method_name="predict", multiplexed_model_id=version).remote(head, block)
        try:
            told, answer = await response
        except asyncio.CancelledError:
            response.cancel()
            raise
        return dict(told), bytes(answer)


def open_handle(options: Mapping[str, Any]) -> tuple[Any, str]:
    """Serve's handle on the models, and the dashboard's address; starts and deploys on this machine where asked to.

    Raises whatever Ray raises.
    """
    from ray import serve

    page = connect(options["address"], start=options.get("start"))
    deploy = options.get("deploy")
    if deploy is not None and APP not in serve.status().applications:
        from streetvision.cluster.deploying import deploy_models

        deploy_models(DeployOptions.from_args(deploy))
    return serve.get_app_handle(APP), page


async def _serve(link: socket.socket, options: Mapping[str, Any]) -> None:
    reader, writer = await asyncio.open_connection(sock=link, limit=FRAME_LIMIT)
    try:
        handle, page = await asyncio.to_thread(open_handle, options)
    except Exception as error:  # noqa: BLE001 - whatever Ray raises is told to the miner
        failure = error if isinstance(error, RemoteFailure) else failure_of(error)
        write_frame(writer, failure_head(failure))
        await writer.drain()
        return
    write_frame(writer, {"link": page})
    await writer.drain()
    await Bridge(handle, reader, writer).run()


def main() -> None:
    """Serve one miner, then go at once: Ray's own threads must not hold the process."""
    prepare_environment()
    link = socket.socket(fileno=int(sys.argv[1]))
    with suppress(ConnectionError):
        asyncio.run(_serve(link, json.loads(sys.argv[2])))
    os._exit(0)


if __name__ == "__main__":
    main()
