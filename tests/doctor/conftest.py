"""A healthy miner's observation, as the monitor's own tests make it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def seen() -> Callable[..., Any]:
    """Nothing is wrong, but for what is changed."""
    file = Path(__file__).parents[1] / "monitor" / "conftest.py"
    spec = importlib.util.spec_from_file_location("monitor_makers", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    make: Callable[..., Any] = module.make_seen
    return make
