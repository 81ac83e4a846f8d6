"""For every test: no log handler outlives it. For several rooms: a prediction log to read, a small disk to fill."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.base.logs import Intercept, flush_log

if TYPE_CHECKING:
    from streetvision.axon.records import RequestRecord
    from streetvision.engine.types import Prediction

Command = Callable[..., tuple[int, str, str]]

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"


def pytest_configure() -> None:
    """A run in a shell's background ignores Ctrl-C, and so would every process that a test starts and interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _log_handlers_end_with_the_test() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("streetvision")
    levels = root.level, own.level
    yield
    if any(isinstance(handler, Intercept) for handler in root.handlers):
        root.handlers = [handler for handler in root.handlers if not isinstance(handler, Intercept)]
        root.setLevel(levels[0])
        own.setLevel(levels[1])
        logger.remove()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums over other numbers of threads differ in their last bits."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Run `streetvision` with these arguments; exit code, stdout, stderr."""
    from streetvision.cli.main import main

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["streetvision", *arguments])
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        assert flush_log(5.0)
        out, err = capsys.readouterr()
        return code, out, err

    yield call
    logger.remove()  # a command sends the log to stderr as sentences


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Two MiB of memory as a file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of an S3 server on this machine."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def only_test_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration or credentials of AWS but these, and no question to the outside."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def s3_client(s3_server: str, only_test_keys: None) -> Iterator[Any]:
    """A client of that server, which is empty."""
    import boto3

    urllib.request.urlopen(urllib.request.Request(f"{s3_server}/moto-api/reset", method="POST")).close()
    client = boto3.session.Session().client("s3", endpoint_url=s3_server, region_name="us-east-1")
    yield client
    client.close()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with random weights, for all to read."""
    import torch

    from streetvision.models.checkpoint import save_checkpoint
    from streetvision.models.network import build, tiny_config

    torch.manual_seed(0)
    config = tiny_config(depth=1)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    save_checkpoint(folder, config, build(config).state_dict())
    return folder


@dataclass
class Logbook:
    """A prediction log in a state folder, written by the miner's own code; its clock moves by a second a record."""

    state: Path
    moment: float = 1_790_000_000.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(72))

    @property
    def folder(self) -> Path:
        return self.state / "log"

    def write(self, *records: RequestRecord) -> None:
        from streetvision.prediction_log.store import PredictionLog
        from streetvision.prediction_log.upkeep import Limits

        limits = Limits(max_days=36_500)
        log = PredictionLog(self.folder, CollectorRegistry(), limits=limits, wall=lambda: self.moment)
        log.start()
        for record in records:
            log(record)
        assert log.close(10.0)
        assert log.health().rows_written == len(records)

    def answer(self, probability: float, *, model: str = "1.0.0") -> Prediction:
        from streetvision.engine.types import Prediction, Timings

        logit = float(np.log(probability) - np.log1p(-probability))
        vector = self.rng.normal(size=8).astype(np.float32)
        return Prediction(probability, logit, vector, model, 1, 2, 640, 480, Timings(0.002, 0.003, 0.004))

    def record(
        self, image: bytes | None, prediction: Prediction | None = None, *, hotkey: str = ALICE, uid: int | None = 12
    ) -> RequestRecord:
        """An answered request, or one refused as overloaded when there is no prediction."""
        from streetvision.axon.records import RequestRecord, StageTimings
        from streetvision.axon.wire import Dialect

        self.moment += 1.0
        return RequestRecord(
            dialect=Dialect.LEGACY,
            hotkey=hotkey,
            uid=uid,
            stake=1.0,
            authenticated=True,
            status=503 if prediction is None else 200,
            reason="overloaded" if prediction is None else "ok",
            image=image,
            prediction=prediction,
            arrival=self.moment,
            headroom=4.5,
            stages=StageTimings(0.0001, 0.001, 0.009, 0.0002),
            remote="127.0.0.1",
        )

    def image_of(self, id: int) -> Path:
        """The image file of this row."""
        from streetvision.prediction_log.reader import LogReader

        with LogReader(self.folder) as reader:
            row = reader.row(id)
            assert row is not None
            path = reader.image_path(row.sha256)
        assert path is not None
        return path


@pytest.fixture
def logbook(tmp_path: Path) -> Logbook:
    return Logbook(tmp_path / "state")
