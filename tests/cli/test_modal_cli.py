"""`streetvision modal`: what operators type, and what they read; Modal's library is replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("modal", reason="the extra `modal` is not installed")

from streetvision.cli import modal
from streetvision.serverless import service as ours

from ..serverless.fake_sdk import FakeSdk

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> FakeSdk:
    fake = FakeSdk()
    monkeypatch.setattr(ours.Service.__init__, "__defaults__", (fake,))
    monkeypatch.setattr(ours.Service, "deploy", lambda self, precision: f"https://modal.test/{precision}")
    monkeypatch.setattr(ours.Service, "stop", lambda self: fake.asked.append(("stop", None)))
    return fake


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, command: Run, sdk: FakeSdk, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(modal, "now", lambda: datetime(2026, 11, 30, 12, tzinfo=UTC))
    return command


def test_deploy_uploads_the_model_once(run: Run, sdk: FakeSdk, checkpoint: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MODEL", str(checkpoint))
    code, out, err = run("modal", "deploy", "--yes", "--json")
    assert code == 0, err
    assert "up to 2 containers with l4, $0.9" in err
    first = json.loads(out)
    assert first["link"] == "https://modal.test/default"
    assert first["uploaded"] == first["models"]
    assert len(sdk.files) == 2
    code, out, _ = run("modal", "deploy", "--yes", "--json")
    assert json.loads(out)["uploaded"] == []


def test_deploy_asks_before_it_spends(run: Run, sdk: FakeSdk, checkpoint: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MODEL", str(checkpoint))
    code, _, err = run("modal", "deploy")
    assert code == 1
    assert "nobody is here to agree to the cost" in err
    assert sdk.files == {}


def test_deploy_refuses_what_the_bound_cannot_pay(run: Run, checkpoint: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MODEL", str(checkpoint))
    monkeypatch.setattr(modal, "now", lambda: datetime(2026, 11, 15, tzinfo=UTC))
    monkeypatch.setenv("MODAL_WARM", "50")
    code, _, err = run("modal", "deploy", "--yes")
    assert code == 1
    assert "50 containers with l4 kept warm" in err


def test_status(run: Run, sdk: FakeSdk) -> None:
    hour = modal.now() - timedelta(hours=1)
    sdk.charge(hour, "1.25")
    sdk.files[f"/1.0.0/{'ab' * 32}/model.json"] = b""
    code, out, _ = run("modal", "status")
    assert code == 0
    assert "app streetvision: 2 containers, 3 batches wait" in out
    assert "models: 1.0.0 (abababababab)" in out
    assert "of $50.00" in out
    code, out, _ = run("modal", "status", "--json")
    assert json.loads(out)["running"]["link"] == "https://modal.test/app"
    sdk.deployed = False
    assert "is not deployed: streetvision modal deploy" in run("modal", "status")[1]


def test_cost_day_by_day(run: Run, sdk: FakeSdk) -> None:
    sdk.charge(datetime(2026, 11, 29, 10, tzinfo=UTC), "0.8")
    sdk.charge(datetime(2026, 11, 29, 11, tzinfo=UTC), "0.2")
    sdk.charge(datetime(2026, 11, 30, 10, tzinfo=UTC), "0.5")
    code, out, _ = run("modal", "cost", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["days_usd"] == {"2026-11-29": 1.0, "2026-11-30": 0.5}
    assert found["month_usd"] == 1.5
    assert "2026-11-29  $     1.00" in run("modal", "cost")[1]


def test_down_stops_and_may_clear_the_volume(run: Run, sdk: FakeSdk) -> None:
    sdk.files[f"/1.0.0/{'ab' * 32}/model.json"] = b""
    code, out, _ = run("modal", "down")
    assert (code, ("stop", None) in sdk.asked) == (0, True)
    assert "app streetvision is stopped" in out
    assert sdk.files
    code, out, _ = run("modal", "down", "--models", "--json")
    assert json.loads(out)["removed"] == [{"version": "1.0.0", "fingerprint": "ab" * 32}]
    assert sdk.files == {}


@pytest.mark.parametrize("words", [("status",), ("cost",), ("down",)])
def test_without_a_token_there_is_one_sentence(run: Run, sdk: FakeSdk, words: tuple[str, ...]) -> None:
    sdk.refusing = True
    code, out, err = run("modal", *words)
    assert (code, out) == (1, "")
    assert "Token missing): run `modal token new`" in err


def test_without_the_extra_there_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.serverless.troubles.find_spec", lambda _: None)
    code, _, err = run("modal", "status")
    assert code == 1
    assert "pip install 'streetvision[modal]'" in err
