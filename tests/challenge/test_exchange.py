"""Whatever listens at an endpoint: a challenge ends in time, with a sentence, and nothing in a reply is believed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bittensor.sp_core import Keypair

from streetvision.challenge.exchange import NO_ANSWER, Outcome, Target, send
from streetvision.challenge.meaning import meaning_of
from streetvision.challenge.target import (
    Running,
    check_hotkey,
    find_caller,
    find_target,
    pictures_in,
    split_endpoint,
)
from streetvision.errors import ConfigError, OperatorError
from streetvision.settings.network import WalletSettings
from streetvision.settings.settings import Settings

BOB = Keypair.create_from_uri("//Bob")
MINER = Keypair.create_from_uri("//Miner").ss58_address

Answering = Callable[[Callable[[socket.socket], None]], Target]


@pytest.fixture
def listening() -> Iterator[Answering]:
    """Let a function have the first connection to a port of its own."""
    servers: list[tuple[socket.socket, threading.Thread]] = []

    def listen(talk: Callable[[socket.socket], None]) -> Target:
        server = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    talk(connection)
                except OSError:
                    return  # the caller has gone

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        servers.append((server, thread))
        return Target("127.0.0.1", server.getsockname()[1], MINER)

    yield listen
    for server, thread in servers:
        thread.join(5)
        server.close()


def saying(reply: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(reply)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):  # what is left unread would reset the connection
            pass

    return talk


def http_reply(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d x\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (status, len(body), body)


def ask(target: Target, timeout_s: float = 5.0) -> Outcome:
    return send(target, BOB, b"image", timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"prediction": 1.5}', "no probability: 1.5"),
        (b'{"prediction": NaN}', "no probability: nan"),
        (b'{"prediction": 1%s}' % (b"0" * 400), "no probability: 1000"),
        (b'{"prediction": -1.0}', "no probability: -1.0"),
        (b'{"prediction": true}', "no probability: True"),
        (b'{"prediction": "0.5"}', "no probability: 0.5"),
        (b"{}", "no probability: None"),
        (b"[0.5]", "no JSON object"),
        (b"[" * 50_000, "no JSON object"),
        (b"\xff", "no JSON object"),
        (b" " * 200_000 + b'{"prediction": 0.5}', "no JSON object"),
    ],
)
def test_an_answer_that_is_none(listening: Answering, body: bytes, says: str) -> None:
    outcome = ask(listening(saying(http_reply(body))))
    assert (outcome.status, outcome.probability) == (200, None)
    assert says in meaning_of(outcome)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (400, "malformed"),
        (404, "--axon.port"),
        (429, "--axon.requests_per_minute"),
        (500, "its log"),
        (503, "streetvision status"),
        (418, "no miner"),
    ],
)
def test_each_status_has_a_meaning(listening: Answering, status: int, says: str) -> None:
    outcome = ask(listening(saying(http_reply(b'{"message": "tea only"}', status))))
    assert outcome.status == status
    assert says in meaning_of(outcome)
    assert meaning_of(outcome).endswith("(tea only)")


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"", "closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 2000, "does not speak HTTP"),
        (
            b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"prediction": 0.25}',
            "closed the connection within its answer",
        ),
    ],
)
def test_something_else_listens(listening: Answering, reply: bytes, says: str) -> None:
    outcome = ask(listening(saying(reply)))
    assert (outcome.status, outcome.probability) == (NO_ANSWER, None)
    assert says in meaning_of(outcome)


def test_a_reply_that_trickles_ends_in_time(listening: Answering) -> None:
    ended = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not ended.wait(0.02):
            connection.sendall(b"a")

    outcome = ask(listening(trickle), timeout_s=0.3)
    ended.set()
    assert outcome.status == NO_ANSWER
    assert meaning_of(outcome).startswith("no answer within 0.3 s: a firewall")


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outcome = ask(Target("127.0.0.1", port, MINER))
    assert meaning_of(outcome) == "connection refused: does the miner run there, and is the port forwarded to it?"


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 70 + ".invalid"])
def test_a_name_that_is_none(host: str) -> None:
    assert host in meaning_of(ask(Target(host, 80, MINER)))


# -- whom and what -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("203.0.113.7:8091", ("203.0.113.7", 8091)),
        ("miner.example:1", ("miner.example", 1)),
        ("[2001:db8::7]:65535", ("2001:db8::7", 65535)),
    ],
)
def test_an_endpoint(text: str, parts: tuple[str, int]) -> None:
    assert split_endpoint(text) == parts


@pytest.mark.parametrize(
    "text",
    ["", "8091", "host", "host:", "host:0", "host:65536", "host:-1", "2001:db8::7:80", "[x]:80", "http://h:80", "h:8 0",
     "h\r\nx:80", "[::1]", "h:٣"],
)  # fmt: skip
def test_no_endpoint(text: str) -> None:
    with pytest.raises(ConfigError, match="write HOST:PORT"):
        split_endpoint(text)


@pytest.mark.parametrize("text", ["", "5Grw", "x\r\ny" * 12, "0" * 48])
def test_no_hotkey(text: str) -> None:
    with pytest.raises(ConfigError, match="is no hotkey"):
        check_hotkey(text)


def test_who_is_asked() -> None:
    running, none = Running("127.0.0.1:5", "own", is_mock=True), OperatorError("no miner runs with x: start it")
    assert find_target(None, None, running, "me") == Target("127.0.0.1", 5, "own")
    assert find_target("h:7", None, running, "me") == Target("h", 7, "own")
    assert find_target("h:7", "key", running, "me") == Target("h", 7, "key")
    assert find_target("h:7", None, none, "me") == Target("h", 7, "me")
    with pytest.raises(OperatorError, match=r"no miner runs with x: start it\. To ask another miner"):
        find_target(None, "key", none, "me")


def test_a_folder_that_may_not_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", forbidden)
    with pytest.raises(OperatorError, match=r"cannot be read \(permission denied\)"):
        pictures_in([tmp_path])
    monkeypatch.setattr(Path, "exists", forbidden)
    with pytest.raises(OperatorError, match=r"cannot be looked at \(permission denied\)"):
        find_caller(Settings(wallet=WalletSettings(path=tmp_path)), None, is_mock=False, named=False)


def test_who_asks(tmp_path: Path) -> None:
    settings = Settings(wallet=WalletSettings(path=tmp_path))
    assert find_caller(settings, None, is_mock=True, named=False).signer.ss58_address == BOB.ss58_address
    assert find_caller(settings, "Eve", is_mock=False, named=False).name == "//Eve"
    assert find_caller(settings, None, is_mock=False, named=False).name == "a hotkey made for this call"
    with pytest.raises(OperatorError, match="does not exist"):
        find_caller(settings, None, is_mock=True, named=True)
    with pytest.raises(ConfigError, match="no validator"):
        find_caller(settings, "Bob//x", is_mock=True, named=False)


def test_what_is_sent(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "c.txt"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    assert [path.name for path in pictures_in([tmp_path])] == ["a.jpg", "b.PNG"]
    assert pictures_in([tmp_path / "c.txt"]) == [tmp_path / "c.txt"]
    with pytest.raises(OperatorError, match="holds no pictures"):
        pictures_in([tmp_path / "empty"])
    with pytest.raises(OperatorError, match="neither a picture nor a folder"):
        pictures_in([tmp_path / "gone.jpg"])
