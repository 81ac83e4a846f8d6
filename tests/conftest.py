"""For every test: no log handler outlives the test that installed it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from loguru import logger

from streetvision.logs import Intercept


@pytest.fixture(autouse=True)
def _log_handlers_end_with_the_test() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("streetvision")
    levels = root.level, own.level
    yield
    if any(isinstance(handler, Intercept) for handler in root.handlers):
        root.handlers = [handler for handler in root.handlers if not isinstance(handler, Intercept)]
        root.setLevel(levels[0])
        own.setLevel(levels[1])
        logger.remove()
