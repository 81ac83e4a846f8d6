"""The card that the rules judge: the public repository's when one is named, else the one beside the checkpoint."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from streetvision.errors import ConfigError
from streetvision.hub.card import CARD_FILE
from streetvision.hub.public_view import CardFinding, Published
from streetvision.monitor.model_card import CardWatch
from streetvision.monitor.thresholds import DAY
from streetvision.rollout.deployment import unregistered
from streetvision.settings.model import ModelSettings
from streetvision.settings.settings import Settings
from streetvision.subnet import AgeStage, PayWindow

OWN, OTHER = "5Own", "5Other"
FOREIGN = CardFinding("card_foreign", "somebody else's", "publish")
AWAY = CardFinding("card_unreachable", "no network", "check it")


def card(submitter: object = OWN, days: float = 10.0) -> dict[str, Any]:
    return {"submitted_by": submitter, "submission_time": int(time.time() - days * DAY)}


class Hub:
    """Says one thing after the other; the watch ends when it has said all."""

    def __init__(self, *said: Published) -> None:
        self.said, self.asked = list(said), 0

    def look(self, repo: str, hotkey: str) -> Published:
        assert (repo, hotkey) == ("me/street", OWN)
        self.asked += 1
        return self.said.pop(0)

    async def sleep(self, seconds: float) -> None:
        assert seconds == 3600.0
        if not self.said:
            raise asyncio.CancelledError


async def watched(*said: Published) -> CardWatch:
    hub = Hub(*said)
    watch = CardWatch("me/street", OWN, look=hub.look, sleep=hub.sleep)
    with pytest.raises(asyncio.CancelledError):
        await watch.run()
    assert hub.asked == len(said)
    return watch


def model(folder: Path, created: str = "") -> Any:
    return replace(unregistered(folder, "1.2.0", "street", ""), created=created)


async def test_the_repository_has_the_say(tmp_path: Path) -> None:
    (tmp_path / CARD_FILE).write_text(json.dumps(card(OWN)))
    watch = await watched(Published("me/street", card(OTHER, 85.0), 85.0, (FOREIGN,)))
    view = watch.view(model(tmp_path))
    assert (view.card_hotkey, view.card_source, view.version) == (OTHER, "me/street", "1.2.0")
    assert view.created == pytest.approx(time.time() - 85 * DAY, abs=5)


async def test_a_look_that_fails_changes_nothing_and_is_said_once(tmp_path: Path) -> None:
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message)), level="WARNING")
    away = Published("me/street", None, None, (AWAY,))
    try:
        watch = await watched(Published("me/street", card(), 10.0, ()), away, away)
    finally:
        logger.remove(handler)
    assert watch.view(model(tmp_path)).card_hotkey == OWN
    assert len([line for line in lines if "no network" in line]) == 1


async def test_without_a_repository_the_folders_card_counts(tmp_path: Path) -> None:
    (tmp_path / CARD_FILE).write_text(json.dumps(card(OTHER)))
    watch = CardWatch("", OWN)
    await watch.run()  # over at once
    view = watch.view(model(tmp_path))
    assert (view.card_hotkey, view.card_source) == (OTHER, CARD_FILE)


@pytest.mark.parametrize("text", [None, "", "[1]", "{", '{"submitted_by": 7, "submission_time": "x"}', "[" * 99_000])
def test_without_a_usable_card_the_checkpoint_tells_its_age(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / CARD_FILE).write_text(text)
    view = CardWatch("", OWN).view(model(tmp_path, "2026-01-01T00:00:00+00:00"))
    assert (view.card_hotkey, view.created) == (None, 1_767_225_600.0)
    assert CardWatch("", OWN).view(model(tmp_path, "long ago")).created is None


def test_the_rules_get_the_operators_pay_window(tmp_path: Path) -> None:
    window = Settings(model=ModelSettings(full_pay_days=90.0)).model.pay_window
    assert window == PayWindow(90.0, 90.0)
    seen = CardWatch("", OWN, window=window).view(model(tmp_path))
    assert seen.window is window
    with pytest.raises(ConfigError, match=r"--model.full_pay_days may not exceed --model.max_age_days"):
        Settings(model=ModelSettings(full_pay_days=91.0))


@pytest.mark.parametrize(
    ("days", "stage", "words"),
    [
        (34.9, AgeStage.FRESH, None),
        (35.0, AgeStage.ENDING, "10 days before its reward decays"),
        (45.0, AgeStage.DECAYING, "past the 45 days"),
        (90.0, AgeStage.OVER, "past the 90 days"),
    ],
)
def test_the_stages_of_a_models_age(days: float, stage: AgeStage, words: str | None) -> None:
    said = PayWindow().words(days)
    assert PayWindow().stage(days) is stage
    assert said is None if words is None else said is not None and said.startswith(words)
