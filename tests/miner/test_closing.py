"""Closing goes on whatever one room raises, and the exit code tells."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from streetvision.base.state_folder import one_miner
from streetvision.engine.types import EngineClosed
from streetvision.errors import EXIT_RESTART, EXIT_UNCLEAN, ConfigError, OperatorError
from streetvision.miner import process as neuron
from streetvision.miner.miner import Miner
from streetvision.miner.process import close_in_time, run_operation
from streetvision.settings.settings import Settings

MOCK = ("--subtensor.network", "mock")


class Rooms:
    """Three rooms of one miner that holds its state folder; the middle one is in trouble."""

    def __init__(self, folder: Path, trouble: BaseException | None) -> None:
        self.miner = Miner(Settings(subtensor_network="mock", state_dir=folder))
        self.closed: list[str] = []
        self._trouble = trouble
        self.miner._stack.enter_context(one_miner(folder))
        for room in ("first", "middle", "last"):
            self.miner._on_close(room, lambda room=room: self._close(room))  # type: ignore[misc]

    async def _close(self, room: str) -> None:
        self.closed.append(room)
        if room == "middle" and self._trouble is not None:
            raise self._trouble


@pytest.mark.parametrize(
    "trouble",
    [
        KeyError("a defect"),
        RuntimeError("CUDA error: unspecified launch failure"),
        OSError(28, "No space left on device"),
        OperatorError("a sentence"),
        EngineClosed("closed"),
        asyncio.CancelledError(),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
async def test_every_other_room_and_the_lock_are_closed(tmp_path: Path, trouble: BaseException) -> None:
    rooms = Rooms(tmp_path, trouble)
    assert not await close_in_time(rooms.miner)
    assert rooms.closed == ["last", "middle", "first"]
    with one_miner(tmp_path):
        pass


async def test_an_orderly_end_is_told_too(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path, None)
    assert await close_in_time(rooms.miner)
    assert await close_in_time(rooms.miner), "a second time there is nothing left to do"
    assert rooms.closed == ["last", "middle", "first"]


async def test_a_room_that_hangs_is_left_and_told(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path, None)
    rooms.miner._on_close("a room that hangs", lambda: asyncio.sleep(3600), 0.01)
    assert not await close_in_time(rooms.miner)
    assert rooms.closed == ["last", "middle", "first"]


async def test_the_whole_of_closing_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neuron, "CLOSE_SECONDS", 0.01)
    miner = Miner(Settings(subtensor_network="mock", state_dir=tmp_path))
    miner._on_close("a room that hangs", lambda: asyncio.sleep(3600))
    assert not await close_in_time(miner)


def test_the_exit_code_of_a_process(tmp_path: Path) -> None:
    arguments = (*MOCK, "--state_dir", str(tmp_path))

    async def ends(settings: Settings) -> int:
        raise ending

    ending: Exception = ConfigError("a setting")
    assert run_operation(arguments, ends) == 1
    ending = KeyError("a defect")
    assert run_operation(arguments, ends) == EXIT_UNCLEAN


async def test_a_miner_that_closed_out_of_order_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(miner: Miner) -> None:
        async def trouble() -> None:
            raise KeyError("a defect")

        miner._on_close("a room", trouble)

    async def serve(_: Miner) -> None:
        return

    monkeypatch.setattr(Miner, "start", start)
    monkeypatch.setattr(Miner, "serve", serve)
    assert await neuron.run(Miner(Settings(subtensor_network="mock", state_dir=tmp_path))) == EXIT_UNCLEAN


@pytest.mark.parametrize("code", [EXIT_RESTART, EXIT_UNCLEAN])
def test_a_driver_that_hangs_at_the_very_end_does_not_hold_the_process_up(code: int) -> None:
    """Nobody would start another one."""
    program = (
        "import atexit, time\n"
        "from streetvision.miner.process import leave\n"
        f"atexit.register(time.sleep, 60)\nprint('flushed')\nleave({code})\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (code, "flushed\n")
