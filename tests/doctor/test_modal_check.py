"""The doctor on Modal: each thing that can be missing has its own remedy, and the miner serves without it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("modal", reason="the extra `modal` is not installed")

from streetvision.doctor import modal
from streetvision.doctor.backend import check_backend
from streetvision.doctor.check import Check, Mark
from streetvision.doctor.modal import check_modal
from streetvision.serverless.service import Service
from streetvision.settings.backend import BackendSettings
from streetvision.settings.modal import ModalSettings
from streetvision.settings.model import ModelSettings
from streetvision.settings.settings import Settings

from ..serverless.fake_sdk import FakeSdk

NOW = datetime(2026, 11, 30, 12, 30, tzinfo=UTC)


@pytest.fixture
def sdk() -> FakeSdk:
    """With the model that serves."""
    fake = FakeSdk()
    fake.files[f"/bundled/{'ab' * 32}/model.json"] = b""
    return fake


def checked(sdk: FakeSdk, state: Path, *, month_usd: float = 50.0) -> Check:
    model = ModelSettings(choice="bundled")
    settings = Settings(state_dir=state, model=model, modal=ModalSettings(month_usd=month_usd))
    return check_modal(settings, NOW.timestamp(), lambda wanted: Service(wanted, sdk))


async def test_it_is_the_check_of_the_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.doctor.modal.find_spec", lambda _: None)
    settings = Settings(state_dir=tmp_path, backend=BackendSettings(choice="modal"))
    found = await check_backend(settings, NOW.timestamp())
    assert (found.name, found.evidence) == ("backend", "Modal is not installed")


def test_all_well(sdk: FakeSdk, tmp_path: Path) -> None:
    sdk.charge(NOW, "1.5")
    found = checked(sdk, tmp_path)
    assert (found.mark, found.evidence) == (Mark.OK, "app streetvision: 2 containers, $1.50 of $50.00 this month")


def test_a_missing_extra(sdk: FakeSdk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.doctor.modal.find_spec", lambda _: None)
    found = checked(sdk, tmp_path)
    assert (found.mark, found.remedy) == (Mark.WARNING, "pip install 'streetvision[modal]'")


def test_another_release(sdk: FakeSdk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "1.7.0")
    assert checked(sdk, tmp_path).evidence == "Modal 1.7.0 is installed, not 1.6"


def test_no_token(sdk: FakeSdk, tmp_path: Path) -> None:
    sdk.refusing = True
    found = checked(sdk, tmp_path)
    assert found.mark is Mark.WARNING
    assert "Token missing" in found.evidence
    assert "modal token new" in found.remedy


def test_not_deployed(sdk: FakeSdk, tmp_path: Path) -> None:
    sdk.deployed = False
    found = checked(sdk, tmp_path)
    assert (found.evidence, found.remedy) == ("the app streetvision is not deployed", "streetvision modal deploy")


def test_another_version_serves(sdk: FakeSdk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modal, "serving_model", lambda settings: SimpleNamespace(version="1.2.0"))
    assert "has not the version 1.2.0" in checked(sdk, tmp_path).evidence
    sdk.files[f"/1.2.0/{'ab' * 32}/model.json"] = b""
    assert checked(sdk, tmp_path).mark is Mark.OK


def test_spent_money(sdk: FakeSdk, tmp_path: Path) -> None:
    sdk.charge(NOW, "60")
    found = checked(sdk, tmp_path)
    assert (found.mark, "--modal.month_usd" in found.remedy) == (Mark.WARNING, True)
