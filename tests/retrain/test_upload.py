"""What serves goes to the hub once, in the hotkey's name, with the subnet's card and a tag."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from streetvision.hub.client import Hub
from streetvision.retrain.jobs import upload
from streetvision.settings.network import WalletSettings

from ..hub.conftest import _own_hub_settings, server, token
from ..hub.fake_hub import FakeHub
from .streets import Street

__all__ = ["_own_hub_settings", "server", "token"]

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
"""huggingface_hub's own upload of large files."""

REPO = "miner/roadwork"


def test_a_version_is_uploaded_once(
    tmp_path: Path, good_model: Path, server: FakeHub, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "Hub", lambda: Hub(server.endpoint))
    made = Street(tmp_path / "state")
    made.registry.add_folder(good_model, source="a test")
    wallet = {name: None if value is None else str(value) for name, value in asdict(WalletSettings()).items()}
    request: dict[str, Any] = {
        "state_dir": str(made.state),
        "version": "1.1.0",
        "repo": REPO,
        "wallet": wallet,
        "network": "mock",
        "pay_window": [45.0, 90.0],
    }
    first = upload.run(json.loads(json.dumps(request)), lambda _: None, lambda: False)
    assert first["url"] == f"{server.endpoint}/{REPO}/tree/v1.1.0"
    commits = [path for method, path, _ in server.requests if method == "POST" and "/commit/" in path]
    assert upload.run(request, lambda _: None, lambda: False) == first
    assert [path for method, path, _ in server.requests if method == "POST" and "/commit/" in path] == commits
    assert len(commits) == 1
