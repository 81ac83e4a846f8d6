"""A world of fake steps for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from streetvision.retrain import facts
from streetvision.retrain_log.records import StepName

from .fakes import World
from .streets import LEARNING, Street, street


@pytest.fixture(autouse=True)
def _packages_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning is tested where the extra is not installed too."""
    monkeypatch.setattr(facts, "NEEDED", ())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Street:
    """A street whose run has gone as far as the registry: for all to read."""
    made = street(tmp_path_factory.mktemp("learned"))
    made.do(*LEARNING, StepName.EVALUATE, StepName.PUBLISH)
    return made


@pytest.fixture(scope="session")
def good_model(learned: Street) -> Path:
    """A model that tells orange pictures from others."""
    return learned.registry.get("1.1.0").folder
