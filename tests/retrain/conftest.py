"""A world of fake steps for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from streetvision.retrain import facts

from .fakes import World


@pytest.fixture(autouse=True)
def _packages_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning is tested where the extra is not installed too."""
    monkeypatch.setattr(facts, "NEEDED", ())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
