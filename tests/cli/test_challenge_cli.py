"""`streetvision challenge`: lines, a summary, JSON, exit codes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from bittensor.sp_core import Keypair

from streetvision.control.server import Handler
from streetvision.status.schema import OPERATION

Run = Callable[..., tuple[int, str, str]]
MINER, BOB = (Keypair.create_from_uri(uri).ss58_address for uri in ("//Miner", "//Bob"))


class Miner(ThreadingHTTPServer):
    """Answers 0.9, or refuses whoever is not Bob; keeps the headers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[Mapping[str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Miner

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.heard.append(dict(self.headers))
        known = self.headers["bt_header_dendrite_hotkey"] == BOB
        body = json.dumps(
            {"prediction": 0.9} if known else {"message": "The hotkey is \x1b[31mnot registered."}
        ).encode()
        self.send_response(200 if known else 403)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def miner() -> Iterator[Miner]:
    with Miner() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def mocked(miner: Miner, answer: Callable[[Mapping[str, Handler]], None]) -> Miner:
    """A miner on the mock network runs in the state folder."""

    async def snapshot(_arguments: Mapping[str, Any], _progress: Any) -> Mapping[str, Any]:
        endpoint = f"127.0.0.1:{miner.server_port}"
        return {"miner": {"endpoint": endpoint, "hotkey": MINER, "network": "mock"}}

    answer({OPERATION: snapshot})
    return miner


@pytest.fixture
def run(command: Run, state: Path) -> Run:
    for name in ("a.jpg", "b.jpg"):
        (state / name).write_bytes(b"picture")
    return command


def test_a_mocked_validator_asks_the_running_miner(run: Run, mocked: Miner) -> None:
    code, out, err = run("challenge", ".", "--repeat", "2", "--concurrency", "3")
    assert (code, err) == (0, f"asking 127.0.0.1:{mocked.server_port}, miner {MINER}, as //Bob\n")
    *lines, summary = out.splitlines()
    assert [line.split()[0] for line in lines] == ["0.9000"] * 4
    assert [line.split()[-2:] for line in lines] == [["200", name] for name in ("a.jpg", "b.jpg") * 2]
    assert summary.startswith("4 of 4 answered; median ")
    assert {heard["bt_header_axon_hotkey"] for heard in mocked.heard} == {MINER}


def test_json_lines_and_a_summary(run: Run, mocked: Miner) -> None:
    code, out, err = run("challenge", "a.jpg", "--json")
    assert (code, err) == (0, "")
    answer, summary = (json.loads(line) for line in out.splitlines())
    assert (answer["kind"], answer["file"], answer["status"], answer["probability"]) == ("answer", "a.jpg", 200, 0.9)
    assert (summary["kind"], summary["sent"], summary["answered"], summary["why"]) == ("summary", 1, 1, {})


def test_a_probe_from_outside_is_refused_and_that_is_good(run: Run, miner: Miner) -> None:
    code, out, err = run("challenge", "a.jpg", "--endpoint", f"127.0.0.1:{miner.server_port}", "--hotkey", MINER)
    assert code == 1
    assert "as a hotkey made for this call" in err
    lines = out.splitlines()
    assert "no answer" in lines[0]
    assert "403" in lines[0]
    assert lines[1] == "0 of 1 answered"
    assert lines[2].startswith("1 x reachable, and refused because this hotkey is no validator")
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("gone.jpg",), "error: gone.jpg is neither a picture nor a folder"),
        (("a.jpg",), "error: no miner runs with the state folder"),
        (("a.jpg", "--endpoint", "nowhere"), "error: 'nowhere' is no endpoint"),
        (("a.jpg", "--endpoint", "h:1", "--hotkey", "x"), "error: 'x' is no hotkey"),
        (("a.jpg", "--endpoint", "h:1", "--wallet.name", "gone"), "error: Hotkey file"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(run: Run, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = run("challenge", *arguments)
    assert (code, out) == (1, "")
    assert err.startswith(says)
    assert err.count("\n") == 1


def test_a_file_that_cannot_be_read_is_told_of(run: Run, mocked: Miner, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_bytes

    def read(path: Path) -> bytes:
        if path.name == "b.jpg":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    code, out, _ = run("challenge", ".")
    assert code == 1
    assert "1 of 2 answered" in out
    assert "1 x not sent, the file cannot be read (permission denied)" in out
