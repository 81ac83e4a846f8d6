"""The proxies of docs/proxies.md, as they stand there, before a real axon; and nginx as it comes."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from streetvision.axon.client import request_body

from . import conftest as kit
from .conftest import Axon

PAGE = (Path(__file__).parents[2] / "docs" / "proxies.md").read_text()
Start = Callable[..., Awaitable[int]]
TEMPORARY = " ".join(f"{name}_temp_path {name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
AROUND_NGINX = f"""
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{}}
http {{ access_log off; {TEMPORARY} %s }}
"""


def example(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


COMMANDS = {
    "nginx": ("nginx", "-e", "stderr", "-p", ".", "-c", "proxy.conf"),
    "caddyfile": ("caddy", "run", "--adapter", "caddyfile", "--config", "proxy.conf"),
    "haproxy": ("haproxy", "-db", "-f", "proxy.conf"),
}


@pytest.fixture
async def start(tmp_path: Path, axon: Axon) -> AsyncIterator[Start]:
    """Start a proxy with this text before the axon; its port."""
    running: list[asyncio.subprocess.Process] = []

    async def begin(kind: str, text: str) -> int:
        program, *arguments = COMMANDS[kind]
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
        port = free_port()
        text = text.replace("127.0.0.1:8091", f"127.0.0.1:{axon.port}").replace("8092", str(port))
        if kind == "nginx":
            text = AROUND_NGINX % text
        if kind == "caddyfile":
            text = "{\n    admin off\n}\n" + text
        (tmp_path / "proxy.conf").write_text(text)
        home = os.environ | dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(tmp_path))
        with (tmp_path / "output").open("wb") as output:
            started = asyncio.create_subprocess_exec(
                program, *arguments, cwd=tmp_path, env=home, stdout=output, stderr=output
            )
            running.append(await started)
        await listening(port, running[-1], tmp_path / "output")
        return port

    yield begin
    for process in running:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def listening(port: int, process: asyncio.subprocess.Process, output: Path) -> None:
    for _ in range(400):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert process.returncode is None, output.read_text()
            await asyncio.sleep(0.025)
        else:
            writer.close()
            return
    raise AssertionError(output.read_text())


async def through(port: int, headers: dict[str, str], body: bytes) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(kit.encode("POST", "/ImageSynapse", headers, body))
    try:
        return await asyncio.wait_for(kit.read_reply(reader), 20)
    finally:
        writer.close()


@pytest.mark.parametrize("kind", COMMANDS)
async def test_the_example_serves_both_dialects_and_large_photos(kind: str, start: Start, axon: Axon) -> None:
    port = await start(kind, example(kind))
    reply = await through(port, kit.signed(), request_body(b"image"))
    assert (reply.status, reply.json) == (200, {"prediction": 0.75})
    assert reply.headers["bt_header_axon_status_code"] == "200"
    large = request_body(b"x" * 20_000_000)
    assert (await through(port, kit.signed(uuid="large"), large)).status == 200
    body = request_body(b"image")
    assert (await through(port, kit.btauth(body), body)).status == 200
    assert axon.server.refusals.counts() == ()


async def test_nginx_as_it_comes_drops_the_headers_and_is_found(start: Start, axon: Axon) -> None:
    bare = "server { listen 8092; location / { proxy_pass http://127.0.0.1:8091; } }"
    port = await start("nginx", bare)
    by_hand = await through(port, {"timeout": "9", "bt_header_dendrite_uuid": "x"}, b"{}")
    assert "a proxy on the way drops names with an underscore" in by_hand.json["message"]
    for _ in range(12):
        reply = await through(port, kit.signed(), request_body(b"image"))
        assert reply.status == 400
        assert "underscore" in reply.json["message"]
    assert [count[:3] for count in axon.server.refusals.counts()] == [("headers_dropped", 13, 13)]
    reply = await through(port, kit.signed(), b"x" * 1_100_000)
    assert reply.status == 413  # nginx's own: the axon never hears of it
    assert axon.counted(413, "too_large", "none") == 0
