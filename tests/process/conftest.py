"""The real miner process, on the mock network, with a random small checkpoint."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from bittensor.sp_core import Keypair

from streetvision.axon.client import legacy_headers, request_body
from streetvision.control.client import SOCKET_NAME, call
from streetvision.models.checkpoint import load_checkpoint, save_checkpoint
from streetvision.models.folder import bundled_checkpoint
from streetvision.registry.registry import REGISTRY_FOLDER, Registry
from streetvision.scenes.challenges import challenge

from .forked import PATIENCE_S, ForkServer, Process

ROOT = Path(__file__).parents[2]


class MinerProcess:
    """`python neurons/miner.py` with its JSON log in a file, so that a test can wait for a line."""

    def __init__(
        self,
        folder: Path,
        server: ForkServer | None,
        *flags: str,
        network: str = "mock",
        environ: dict[str, str] | None = None,
        script: Sequence[str] = (str(ROOT / "neurons" / "miner.py"),),
        output: int | None = None,
    ) -> None:
        """Forked by `server`, or a fresh interpreter, which `output`, a descriptor for the log, asks for too.

        `script` and its own arguments stand in for the entry point.
        """
        self.state = folder / "state"
        self.socket = self.state / "mock.sock"
        self._log = folder / "miner.log"
        self._log.write_bytes(b"")
        keep = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV"}}
        environ = keep | (environ or {})
        command = [*script, "--subtensor.network", network, "--logging.json", "--state_dir", str(self.state), *flags]
        self.process: Process
        if server is not None and output is None:
            self.process = server.start(command, output=self._log, folder=folder, environ=environ)
            return
        with self._log.open("ab") as log:
            sink = output or log
            self.process = subprocess.Popen(
                [sys.executable, *command], stderr=sink, stdout=sink, cwd=folder, env=environ, start_new_session=True
            )

    @property
    def text(self) -> str:
        return self._log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """Every line of the log; a line that is not JSON fails the test."""
        return [json.loads(line) for line in self.text.splitlines()]

    def messages(self) -> list[str]:
        return [line["message"] for line in self.lines()]

    def wait_for(self, start: str) -> str:
        """The first message that starts so; fails the test when the process ends or time runs out before."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            for line in self.text.split("\n")[:-1]:
                message = str(json.loads(line)["message"]) if line.startswith("{") else line
                if message.startswith(start):
                    return message
            if ended:
                break
            time.sleep(0.05)
        raise AssertionError(f"no {start!r} in the log; exit code {self.process.poll()}\n{self.text}")

    def models(self) -> dict[str, Any]:
        """What `streetvision models status --json` prints."""
        return call(self.state / SOCKET_NAME, "status")

    def wait_until(self, happened: Callable[[dict[str, Any]], bool]) -> None:
        """Until the status of the models is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not happened(status := self.models()):
            assert time.monotonic() < deadline, status
            time.sleep(0.1)

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE_S)

    def terminate(self, name: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send the signal; exit code and seconds until it ended."""
        started = time.monotonic()
        self.process.send_signal(name)
        return self.exit_code(), time.monotonic() - started

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """One for all tests."""
    server = ForkServer(tmp_path_factory.mktemp("ends"))
    yield server
    server.close()


@pytest.fixture
def start_miner(tmp_path: Path, checkpoint: Path, fork_server: ForkServer) -> Iterator[Callable[..., MinerProcess]]:
    """Start miners that end with the test.

    `model=False` leaves the choice of a model to the flags; `fresh=True` does not spare the imports.
    """
    running: list[MinerProcess] = []

    def start(*flags: str, model: bool = True, fresh: bool = False, **kwargs: Any) -> MinerProcess:
        serve = ("--model", str(checkpoint), "--compile", "false", "--threads", "1") if model else ()
        running.append(MinerProcess(tmp_path, None if fresh else fork_server, *serve, *flags, **kwargs))
        return running[-1]

    yield start
    for miner in running:
        miner.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def port() -> int:
    return _free_port()


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    return challenge(1, native=False, roadwork=True).jpeg


class Caller:
    """A dev key that sends signed legacy requests over a plain HTTP connection."""

    def __init__(self, name: str, miner: str = "Miner", *, receiver: str = "") -> None:
        """`miner` is the development key of the one that is asked, unless `receiver` is its address."""
        self.keypair = Keypair.create_from_uri(f"//{name}")
        self.receiver = receiver or str(Keypair.create_from_uri(f"//{miner}").ss58_address)
        self.uuid = str(uuid.uuid4())

    def headers(self) -> dict[str, str]:
        return legacy_headers(self.keypair, self.receiver, nonce_ns=time.time_ns(), uuid=self.uuid)

    def ask(self, port: int, image: bytes, *, host: str = "127.0.0.1") -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(host, port, timeout=15)
        try:
            connection.request("POST", "/ImageSynapse", request_body(image), self.headers())
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def begin(self, port: int, image: bytes) -> tuple[http.client.HTTPConnection, bytes]:
        """A request of which the head and 1,000 bytes were sent, and have passed the gate; the rest of its body."""
        body = request_body(image)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        connection.putrequest("POST", "/ImageSynapse")
        for name, value in (self.headers() | {"content-length": str(len(body))}).items():
            connection.putheader(name, value)
        connection.endheaders(body[:1000])
        time.sleep(0.3)
        return connection, body[1000:]


@pytest.fixture
def caller() -> Callable[[str], Caller]:
    return Caller


@pytest.fixture(scope="session")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make checkpoints that really tell pictures apart: the first blocks of the bundled one, changed as asked.

    At a smaller input than its own, so that two cores answer them quickly.
    """
    config, state = load_checkpoint(bundled_checkpoint())
    home = tmp_path_factory.mktemp("variants")

    def make(version: str, *, depth: int = 2, noise: float = 0.0, invert: bool = False, constant: bool = False) -> Path:
        folder = home / f"{version}-{depth}-{noise:g}-{invert:d}{constant:d}"
        if folder.exists():
            return folder
        random = torch.Generator().manual_seed(1)
        weights = {}
        for name, value in state.items():
            if name.startswith("backbone.blocks.") and int(name.split(".")[2]) >= depth:
                continue
            stored = value.float()
            weights[name] = stored + noise * stored.std(correction=0) * torch.randn(stored.shape, generator=random)
        for name in ("head.fc.weight", "head.fc.bias"):
            weights[name] = -weights[name] if invert else 0.0 * weights[name] if constant else weights[name]
        kwargs = {**config.architecture_kwargs, "depth": depth}
        small = replace(config, version=version, architecture_kwargs=kwargs, input_size=160)
        save_checkpoint(folder, small, weights)
        return folder

    return make


class Load:
    """Validators that ask one picture after the other, each on a thread and a connection of its own, until stopped.

    `pause_s` between two leaves the miner idle moments, in which it compares a candidate's answers.
    """

    def __init__(self, port: int, images: Sequence[bytes], pause_s: float = 0.02, *, receiver: str = "") -> None:
        names = ("Alice", "Bob", "Charlie")
        self._port, self._images, self._pause_s = port, images, pause_s
        self._stop = threading.Event()
        self.statuses: list[int] = []
        self._threads = [
            threading.Thread(target=self._ask, args=(Caller(name, receiver=receiver), name)) for name in names
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Until so many more requests were answered or refused."""
        goal, deadline = len(self.statuses) + count, time.monotonic() + PATIENCE_S
        while len(self.statuses) < goal:
            assert time.monotonic() < deadline, f"only {len(self.statuses)} of {goal} requests came back"
            time.sleep(0.01)

    def _ask(self, caller: Caller, name: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        number = 0
        while not self._stop.wait(self._pause_s):
            # Bytes behind the end of a JPEG change its hash and not its picture.
            image = self._images[number % len(self._images)] + f"{name} {number}".encode()
            number += 1
            try:
                connection.request("POST", "/ImageSynapse", request_body(image), caller.headers())
                response = connection.getresponse()
                response.read()
                self.statuses.append(response.status)
            except (OSError, http.client.HTTPException):
                self.statuses.append(0)
                connection.close()
        connection.close()


@pytest.fixture(scope="session")
def pictures() -> list[bytes]:
    return [challenge(seed, native=False).jpeg for seed in range(12)]


@pytest.fixture
def load_on(pictures: list[bytes]) -> Callable[..., Load]:
    """`with load_on(port) as load:` asks all the while."""
    return lambda port, **kwargs: Load(port, pictures, **kwargs)


class Command:
    """`streetvision models ...` in a process of its own."""

    def __init__(self, state: Path, *words: str) -> None:
        environ = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV"}}
        code = "from streetvision.cli.main import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "models", *words, "--state-dir", str(state)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ, cwd=state.parent,
        )  # fmt: skip

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Run `streetvision models` with the words; the state folder is the miners'."""
    running: list[Command] = []

    def run(*words: str) -> Command:
        running.append(Command(tmp_path / "state", *words))
        return running[-1]

    yield run
    for command in running:
        command.process.kill()
        if command.process.stdout is not None and not command.process.stdout.closed:
            command.process.communicate()


@pytest.fixture
def serve(start_miner: Callable[..., MinerProcess], variant: Callable[..., Path], port: int) -> Callable[..., Any]:
    """A ready miner on the first two blocks of the bundled model, as version 0.1.0."""

    def start(*flags: str, model: str | None = None) -> Any:
        served = model or str(variant("0.1.0"))
        miner = start_miner(
            "--axon.port", str(port), "--axon.ip", "127.0.0.1", "--axon.requests_per_minute", "100000",
            "--model", served, "--compile", "false", "--threads", "1", *flags, model=False,
        )  # fmt: skip
        miner.wait_for("ready")
        return miner

    return start


@pytest.fixture
def add(tmp_path: Path, variant: Callable[..., Path]) -> Callable[..., None]:
    """Put variants into the registry, as `models add` does."""
    registry = Registry(tmp_path / "state" / REGISTRY_FOLDER)

    def put(version: str, **changes: Any) -> None:
        registry.add_folder(variant(version, **changes), source="test")

    return put
