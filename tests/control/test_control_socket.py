"""The control server and its client over a real Unix-domain socket, with operations made up for the test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from streetvision.control.client import call
from streetvision.control.server import ControlServer, Progress
from streetvision.errors import OperatorError

Arguments = Mapping[str, Any]


class Operations:
    """Operations that a test steers."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.began = asyncio.Event()
        self.finished = asyncio.Event()

    async def echo(self, arguments: Arguments, progress: Progress) -> Mapping[str, Any]:
        return {"said": dict(arguments)}

    async def steps(self, arguments: Arguments, progress: Progress) -> Mapping[str, Any]:
        progress({"stage": "loading", "done": 0})
        await asyncio.to_thread(progress, {"stage": "warming", "done": 1})
        return {"version": "1.0.0"}

    async def wait(self, arguments: Arguments, progress: Progress) -> Mapping[str, Any]:
        progress({"stage": "waiting"})
        self.began.set()
        await self.go_on.wait()
        self.finished.set()
        return {"waited": True}

    async def refuse(self, arguments: Arguments, progress: Progress) -> Mapping[str, Any]:
        raise OperatorError("there is no version 9.9.9")

    async def break_down(self, arguments: Arguments, progress: Progress) -> Mapping[str, Any]:
        raise ZeroDivisionError("by nothing")

    async def flood(self, arguments: Arguments, progress: Progress) -> Mapping[str, Any]:
        self.began.set()
        for _ in range(200):
            progress({"stage": "x" * 10_000})
            await asyncio.sleep(0)
        self.finished.set()
        return {}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: Unix sockets allow about 100 bytes, and pytest's own folders may be longer."""
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        yield Path(name)


@pytest.fixture
def operations() -> Operations:
    return Operations()


def server_at(path: Path, operations: Operations, **limits: Any) -> ControlServer:
    names = ("echo", "steps", "wait", "refuse", "break_down", "flood")
    return ControlServer(path, {name: getattr(operations, name) for name in names}, **limits)


@pytest.fixture
async def server(folder: Path, operations: Operations) -> AsyncIterator[ControlServer]:
    server = server_at(folder / "control.sock", operations, alive_s=0.05)
    await server.start()
    yield server
    await server.close()


async def ask(server: ControlServer, op: str, told: list[Any] | None = None, **arguments: Any) -> dict[str, Any]:
    on_progress = [].append if told is None else told.append
    return await asyncio.to_thread(call, server.path, op, arguments, on_progress)


async def lines_after(server: ControlServer, sent: bytes) -> list[dict[str, Any]]:
    """What the server says to raw bytes until it ends the connection."""
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(sent)
    lines = []
    with contextlib.suppress(ConnectionResetError):  # how a socket ends on which something was left unread
        while line := await asyncio.wait_for(reader.readline(), 5):
            lines.append(json.loads(line))
    writer.close()
    return lines


async def test_an_operation_gets_its_arguments_and_gives_its_result(server: ControlServer) -> None:
    assert await ask(server, "echo", version="1.0.0", share=0.1) == {"said": {"version": "1.0.0", "share": 0.1}}
    assert await ask(server, "echo") == {"said": {}}


async def test_progress_arrives_in_order_from_any_thread(server: ControlServer) -> None:
    told: list[Any] = []
    assert await ask(server, "steps", told) == {"version": "1.0.0"}
    assert told == [{"stage": "loading", "done": 0}, {"stage": "warming", "done": 1}]


async def test_the_last_step_is_repeated_so_that_the_client_knows_the_miner_lives(
    server: ControlServer, operations: Operations
) -> None:
    told: list[Any] = []
    asking = asyncio.create_task(ask(server, "wait", told))
    while len(told) < 3:
        await asyncio.sleep(0.01)
    operations.go_on.set()
    assert await asking == {"waited": True}
    assert told == [{"stage": "waiting"}] * len(told)


async def test_a_refusal_is_its_sentence(server: ControlServer) -> None:
    with pytest.raises(OperatorError, match=r"^there is no version 9\.9\.9$"):
        await ask(server, "refuse")


async def test_a_defect_is_a_sentence_and_the_server_lives(server: ControlServer) -> None:
    with pytest.raises(OperatorError, match=r"ZeroDivisionError: by nothing.*its log says more"):
        await ask(server, "break_down")
    assert await ask(server, "echo") == {"said": {}}


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"nonsense\n", "one line of JSON"),
        (b"\xff\xfe\n", "one line of JSON"),
        (b"[" * 9_000 + b"\n", "one line of JSON"),
        (b'{"op": ' + b"1" * 6_000 + b"}\n", "one line of JSON"),
        (b"[1]\n", "must be a JSON object"),
        (b"{}\n", "unknown operation; known are break_down, echo"),
        (b'{"op": ["echo"]}\n', "restart the miner if the command is newer"),
        (b'{"op": "__init__"}\n', "unknown operation"),
        (b'{"op": "echo", "args": [1]}\n', "`args` must be an object"),
        (b"x" * 40_000, "at most 16384 bytes"),
    ],
)
async def test_what_is_no_request_is_one_error(server: ControlServer, sent: bytes, says: str) -> None:
    (only,) = await lines_after(server, sent)
    assert only["event"] == "error"
    assert says in only["message"]
    assert await ask(server, "echo") == {"said": {}}


async def test_one_request_a_connection(server: ControlServer) -> None:
    request = b'{"op": "echo"}\n'
    assert await lines_after(server, request * 3) == [{"event": "done", "result": {"said": {}}}]


async def test_an_operation_goes_on_when_its_client_goes_away(server: ControlServer, operations: Operations) -> None:
    _, writer = await asyncio.open_unix_connection(server.path)
    writer.write(b'{"op": "wait"}\n')
    await asyncio.wait_for(operations.began.wait(), 5)
    writer.transport.abort()
    await asyncio.sleep(0.2)  # the server notices when it next says that it is alive
    operations.go_on.set()
    await asyncio.wait_for(operations.finished.wait(), 5)
    assert await ask(server, "echo") == {"said": {}}


async def test_a_client_that_does_not_read_holds_up_nothing_and_is_left(folder: Path, operations: Operations) -> None:
    server = server_at(folder / "c.sock", operations, send_s=0.1, max_connections=1)
    await server.start()
    with socket.socket(socket.AF_UNIX) as mute:
        mute.connect(os.fspath(server.path))
        mute.sendall(b'{"op": "flood"}\n')
        await asyncio.wait_for(operations.finished.wait(), 5)
        for _ in range(100):
            try:
                assert await ask(server, "echo") == {"said": {}}
                break
            except OperatorError as error:
                assert str(error) == "too many connections"
            await asyncio.sleep(0.05)
        else:
            pytest.fail("its place was never free again")
    await server.close()


async def test_the_silent_and_the_many_are_bounded(folder: Path, operations: Operations) -> None:
    server = server_at(folder / "c.sock", operations, idle_s=0.3, max_connections=1)
    await server.start()
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(b'{"op": "ec')
    await asyncio.sleep(0.05)
    with pytest.raises(OperatorError, match=r"^too many connections$"):
        await ask(server, "echo")
    assert json.loads(await asyncio.wait_for(reader.readline(), 5)) == {"event": "error", "message": "silent for 0.3 s"}
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert await ask(server, "echo") == {"said": {}}
    await server.close()


async def test_closing_tells_the_waiting_client_and_removes_the_socket(folder: Path, operations: Operations) -> None:
    server = server_at(folder / "c.sock", operations)
    await server.start()
    idle, idle_writer = await asyncio.open_unix_connection(server.path)
    asking = asyncio.create_task(ask(server, "wait"))
    await asyncio.wait_for(operations.began.wait(), 5)
    await asyncio.wait_for(server.close(), 5)
    with pytest.raises(OperatorError, match=r"^the miner is shutting down$"):
        await asking
    assert not operations.finished.is_set()
    assert await idle.read() == b""
    idle_writer.close()
    assert not server.path.exists()
    await server.close()


async def test_closing_while_a_connection_ends_is_no_defect(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for steps in range(8):  # of the loop, which a reply and the end of its connection take
        operations = Operations()
        server = server_at(folder / "c.sock", operations)
        await server.start()
        _, writer = await asyncio.open_unix_connection(server.path)
        writer.write(b'{"op": "wait"}\n')
        await asyncio.wait_for(operations.began.wait(), 5)
        operations.go_on.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        await asyncio.wait_for(server.close(), 5)
        writer.close()
    assert not caplog.records


async def test_the_socket_is_for_its_owner_alone(server: ControlServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    monkeypatch.setattr("streetvision.net.line_server.peer_of", lambda _: (1, os.geteuid() + 1))
    (only,) = await lines_after(server, b'{"op": "echo"}\n')
    assert only == {"event": "error", "message": "only the user that runs this process may use its socket"}


async def test_the_kernel_says_who_is_at_the_other_end(server: ControlServer) -> None:
    from streetvision.net.unix_socket import peer_of

    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.fspath(server.path))
        assert peer_of(connection) == (os.getpid(), os.geteuid())


async def test_two_miners_in_one_state_folder(server: ControlServer, operations: Operations) -> None:
    with pytest.raises(OperatorError, match=r"Another miner runs in the state folder .*: stop it, or name another"):
        await server_at(server.path, operations).start()
    assert await ask(server, "echo") == {"said": {}}


async def test_the_socket_of_a_dead_miner_is_replaced(folder: Path, operations: Operations) -> None:
    path = folder / "c.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))
    with pytest.raises(OperatorError, match="no miner runs"):
        call(path, "echo")
    server = server_at(path, operations)
    await server.start()
    assert await ask(server, "echo") == {"said": {}}
    await server.close()


async def test_a_path_that_is_too_long_is_one_sentence(folder: Path, operations: Operations) -> None:
    path = folder / ("x" * 100)
    with pytest.raises(OperatorError, match=r"too long for a Unix socket .*: name a shorter state folder"):
        await server_at(path, operations).start()
    with pytest.raises(OperatorError, match="no miner runs"):
        call(path, "echo")


def test_no_miner_is_one_sentence(folder: Path) -> None:
    with pytest.raises(OperatorError, match=f"^no miner runs with the state folder {folder}: start it, or name its"):
        call(folder / "control.sock", "status")
    (folder / "file").write_text("")
    with pytest.raises(OperatorError, match="no miner runs"):
        call(folder / "file" / "control.sock", "status")
    with pytest.raises(OperatorError, match="no miner runs"):
        call(folder / "file", "status")


class Answering:
    """What listens, in a thread: takes one connection, says these bytes, and ends it or not."""

    def __init__(self, path: Path, says: bytes, *, end: bool = True) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(path))
        self._listener.listen()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(says, end))
        self._thread.start()

    def _serve(self, says: bytes, end: bool) -> None:
        connection, _ = self._listener.accept()
        connection.recv(10_000)
        connection.sendall(says)
        if not end:
            self._done.wait(10)
        connection.close()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()
        self._listener.close()


@pytest.mark.parametrize(
    ("says", "end", "sentence"),
    [
        (b"", False, r"said nothing for 0\.2 s"),
        (b'{"event": "progress"}\n', False, r"said nothing for 0\.2 s"),
        (b"", True, "the miner ended before it had answered"),
        (b'{"event": "progress"}\n', True, "the miner ended before it had answered"),
        (b'{"event": "do', True, "does not answer as a miner of this version"),
        (b"[]\n", True, "does not answer as a miner of this version"),
        (b'{"event": "done"}\n', True, "does not answer as a miner of this version"),
        (b'{"event": "sang"}\n', True, "does not answer as a miner of this version"),
    ],
)
def test_a_miner_that_is_stuck_ends_or_babbles(folder: Path, says: bytes, end: bool, sentence: str) -> None:
    other = Answering(folder / "c.sock", says, end=end)
    try:
        with pytest.raises(OperatorError, match=sentence):
            call(folder / "c.sock", "status", silence_s=0.2)
    finally:
        other.stop()


def test_a_listener_of_another_user_is_not_believed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.fspath(folder / "c.sock"))
    listener.listen()
    monkeypatch.setattr("streetvision.control.client.peer_of", lambda _: (1, 4242))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(OperatorError, match="it is not your miner"):
        call(folder / "c.sock", "status")
    listener.close()
