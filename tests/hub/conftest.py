"""The tests' own hub for each test, a registry, and a model to publish and pull."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from streetvision.hub.client import Hub
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.config import ModelConfig
from streetvision.models.network import build, tiny_config
from streetvision.registry.model_import import Findings
from streetvision.registry.registry import Registry

from .fake_hub import ALICE, TOKEN, FakeHub, Handler


@pytest.fixture
def server() -> Iterator[FakeHub]:
    """A running hub; its storage is another origin."""
    hub = FakeHub()
    handler = type("BoundHandler", (Handler,), {"hub": hub})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    hub.endpoint, hub.storage = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}) for server in servers]
    for thread in threads:
        thread.start()
    yield hub
    hub.released.set()
    for running in servers:
        running.shutdown()
        running.server_close()
    for thread in threads:
        thread.join()


@pytest.fixture(autouse=True)
def _own_hub_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No login of this machine, no faster protocol than plain HTTP, no connection left open."""
    from huggingface_hub import close_session, constants

    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-login"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()
    yield
    close_session()


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return TOKEN


@pytest.fixture
def naps() -> list[float]:
    """How long the client would have slept between attempts."""
    return []


@pytest.fixture
def hub(server: FakeHub, naps: list[float]) -> Hub:
    return Hub(server.endpoint, sleep=naps.append)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random small checkpoint, version 1.0.0."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    torch.manual_seed(0)
    config = tiny_config(depth=1)
    settings = {**vars(config), "version": "1.0.0", "name": "roadwork-tiny", "card": {"what": "A tiny test model."}}
    save_checkpoint(folder, ModelConfig(**settings), build(config).state_dict())
    return folder


@pytest.fixture
def files(model_folder: Path) -> dict[str, bytes]:
    """A checkpoint's files with a right card."""
    card = {
        "model_name": "roadwork-tiny",
        "description": "A tiny test model.",
        "version": "1.0.0",
        "submitted_by": ALICE,
        "submission_time": 1_790_000_000,
    }
    found = {path.name: path.read_bytes() for path in model_folder.iterdir()}
    return {**found, "model_card.json": json.dumps(card).encode(), "README.md": b"# roadwork-tiny\n"}


def quick_examine(folder: Path, *_: object) -> Findings:
    """The registry's own loading of the weights, without the golden pictures."""
    from streetvision.models.network import load

    return Findings(load(folder).config.input_size, (0.0,), None)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "state" / "models", examine=quick_examine, now=lambda: 1_790_000_000.0)


@pytest.fixture
def environment(server: FakeHub, tmp_path: Path) -> dict[str, str]:
    """Of a command in a process of its own that talks to this hub."""
    keep = {k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "TMPDIR", "VIRTUAL_ENV"}}
    return keep | {
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": server.endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "STREETVISION_STATE_DIR": str(tmp_path / "state"),
        "SUBTENSOR_NETWORK": "mock",
        "OMP_NUM_THREADS": "1",
    }
