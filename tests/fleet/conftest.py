"""A fleet's file in a folder of its own, and miners that are small programs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streetvision.fleet.fleet_file import Fleet, load_fleet

Write = Callable[..., Path]
THREE = """
[fleet]
port = 0
state_dir = "{folder}"
[shared]
subtensor.network = "mock"
axon.ip = "127.0.0.1"
log.max_gib = 1
[miners.hot1]
axon.port = 18091
[miners.hot2]
axon.port = 18092
[miners.hot3]
axon.port = 18093
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a path so short that sockets fit in it."""
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        yield Path(name)


@pytest.fixture
def write(folder: Path) -> Write:
    """Write a fleet's file; `{folder}` in it is a folder for the fleet's state."""

    def put(text: str = THREE) -> Path:
        file = folder / "fleet.toml"
        file.write_text(text.replace("{folder}", str(folder / "s")))
        return file

    return put


@pytest.fixture
def fleet(write: Write) -> Fleet:
    """Three miners on the mock network."""
    return load_fleet(write(), {})
