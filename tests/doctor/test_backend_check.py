"""The doctor's check of the backend, where there is none."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from streetvision.cluster import transport
from streetvision.doctor.backend import check_backend
from streetvision.doctor.check import Mark
from streetvision.settings.backend import BackendSettings, RaySettings
from streetvision.settings.model import ModelSettings
from streetvision.settings.settings import Settings

NOW = 1_790_000_000.0


def settings(state: Path, address: str = "", model: str = "bundled", choice: str = "ray") -> Settings:
    return Settings(
        state_dir=state,
        model=ModelSettings(choice=model),
        backend=BackendSettings(choice=choice),
        ray=RaySettings(address=address),
    )


async def test_an_embedded_model_needs_none(tmp_path: Path) -> None:
    assert (await check_backend(settings(tmp_path, choice="embedded"), NOW)).mark is Mark.SKIPPED


async def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "find_spec", lambda _: None)
    check = await check_backend(settings(tmp_path), NOW)
    assert (check.mark, check.remedy) == (Mark.WARNING, "Install it with pip install 'streetvision[ray]'.")
    assert "Ray is not installed" in check.evidence


async def test_at_a_wrong_address_it_says_so(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    check = await check_backend(settings(tmp_path, address), NOW)
    assert (check.mark, "nothing listens" in check.evidence, "--ray.address" in check.remedy) == (
        Mark.WARNING,
        True,
        True,
    )


async def test_without_a_model_there_is_nothing_to_ask_for(tmp_path: Path) -> None:
    assert (await check_backend(settings(tmp_path, model=str(tmp_path / "none")), NOW)).mark is Mark.SKIPPED
