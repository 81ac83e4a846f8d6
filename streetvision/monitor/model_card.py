"""The card that the serving model is submitted with: of the public repository when one is named, else of its folder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from streetvision.base.steady_clock import Clock
from streetvision.errors import OperatorError
from streetvision.hub.card import CARD_FILE, CARD_LIMIT_BYTES, age_days, parse_card
from streetvision.models.versions import ModelVersion
from streetvision.monitor.observation import ModelView
from streetvision.monitor.thresholds import DAY, HOUR
from streetvision.subnet import PAY_WINDOW, PayWindow

if TYPE_CHECKING:
    from streetvision.hub.public_view import Published

ReadCard = Callable[[str, str], "Published"]
"""Reads a repository as a validator sees it for a hotkey; runs in a thread."""


def look_at_hub(repo: str, hotkey: str, window: PayWindow = PAY_WINDOW) -> Published:
    """Ask Hugging Face; a few seconds."""
    from streetvision.hub.public_view import published

    return published(repo, hotkey, window=window)


class CardWatch:
    """Looks at the repository once an hour; a look that fails changes nothing."""

    def __init__(
        self,
        repo: str,
        hotkey: str,
        *,
        window: PayWindow = PAY_WINDOW,
        look: ReadCard | None = None,
        every_s: float = HOUR,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Clock = time.time,
    ) -> None:
        """`repo` is `owner/name`, or empty when the operator names none; without `look` the hub is asked."""
        self._repo, self._hotkey, self._window = repo, hotkey, window
        look = look or partial(look_at_hub, window=window)
        self._look, self._every_s, self._sleep, self._now = look, every_s, sleep, now
        self._card: object = None
        self._said: tuple[str, ...] = ()

    async def run(self) -> None:
        """Look again and again, until cancelled; at once over when there is no repository to look at."""
        while self._repo:
            self._learn(await asyncio.to_thread(self._look, self._repo, self._hotkey))
            await self._sleep(self._every_s)

    def _learn(self, seen: Published) -> None:
        codes = tuple(finding.code for finding in seen.findings)
        for finding in seen.findings if codes != self._said else ():
            logger.warning("card: {}: {}", finding.title, finding.remedy)
        self._said = codes
        if "card_unreachable" not in codes:
            self._card = seen.card

    def view(self, model: ModelVersion) -> ModelView:
        """The serving model as the rules want it."""
        card, where = self._card, self._repo
        if not isinstance(card, Mapping):
            card, where = card_in(model.folder), CARD_FILE
        return replace(model_view(model, card, where, self._now()), window=self._window)


def model_view(model: ModelVersion, card: Mapping[str, Any] | None, where: str, now: float) -> ModelView:
    """A model and its card, which a stranger may have written."""
    if card is None:
        return ModelView(model.name, model.version, _time(model.created))
    age, submitter = age_days(card, now), card.get("submitted_by")
    created = _time(model.created) if age is None else now - age * DAY
    return ModelView(model.name, model.version, created, submitter if isinstance(submitter, str) else None, where)


@lru_cache(maxsize=8)
def card_in(folder: Path) -> Mapping[str, Any] | None:
    """The card that lies beside a checkpoint, read once; None without one that can be read."""
    try:
        with (folder / CARD_FILE).open("rb") as file:
            card = parse_card(file.read(CARD_LIMIT_BYTES + 1))
    except (OSError, OperatorError):
        return None
    return card if isinstance(card, dict) else None


def _time(text: str) -> float | None:
    """Unix seconds of an ISO 8601 time; None when it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
