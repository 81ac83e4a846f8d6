"""The miner's models as one part of it: on how many threads it decodes, and a start that comes to nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from prometheus_client import CollectorRegistry

from streetvision.engine.transport import RemoteTrouble
from streetvision.errors import EXIT_RESTART, OperatorError, RestartNeeded
from streetvision.miner.model_choice import choose_model
from streetvision.miner.models import ServedModels
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.settings.backend import BackendSettings
from streetvision.settings.model import ModelSettings
from streetvision.settings.network import SubtensorSettings
from streetvision.settings.settings import Settings

from ..photos import grey_photo


def decoding() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("decode-")}


@pytest.mark.parametrize(("paid_for", "expected"), [(1, 1), (2, 2), (64, 2)])
async def test_no_more_pictures_are_decoded_at_once_than_a_quota_pays_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paid_for: int, expected: int
) -> None:
    before, seen = decoding(), set[threading.Thread]()

    def opened(*_: Any, **__: Any) -> NoReturn:
        seen.update(decoding() - before)
        raise OperatorError("this is enough")

    monkeypatch.setattr("streetvision.miner.models.usable_threads", lambda: paid_for)
    monkeypatch.setattr("streetvision.miner.models.open_runner", opened)
    settings = Settings(
        model=ModelSettings(choice="bundled"), state_dir=tmp_path, subtensor=SubtensorSettings(network="mock")
    )
    with pytest.raises(OperatorError, match="this is enough"):
        await ServedModels(settings, choose_model(settings), CollectorRegistry()).start()
    assert len(seen) == expected


def room(folder: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[[str], NoReturn]) -> ServedModels:
    """Its runners are opened by `opened`, which is told the device."""
    monkeypatch.setattr("streetvision.miner.models.device_trouble", lambda _: None)
    monkeypatch.setattr("streetvision.miner.models.open_runner", lambda *_, device, **__: opened(device))
    settings = Settings(
        model=ModelSettings(choice="bundled"), state_dir=folder, subtensor=SubtensorSettings(network="mock")
    )
    return ServedModels(settings, choose_model(settings), CollectorRegistry())


async def test_a_stand_in_that_fails_at_the_start_is_not_the_models_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(device: str) -> NoReturn:
        raise RuntimeError("CUDA error: unspecified launch failure" if device != "cpu" else "no room")

    models = room(tmp_path, monkeypatch, opened)
    with pytest.raises(RestartNeeded, match=r"unspecified launch failure.*the CPU cannot serve in its place") as told:
        await models.start()
    assert told.value.exit_code == EXIT_RESTART


async def test_a_device_that_hangs_at_the_start_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def opened(_: str) -> NoReturn:
        release.wait(20)
        raise OperatorError("it was released")

    models = room(tmp_path, monkeypatch, opened)
    monkeypatch.setattr("streetvision.miner.models.WARM_SECONDS", 0.05)
    with pytest.raises(RestartNeeded, match=r"not warm after 0\.05 s"):
        await models.start()
    await models.engine.close()
    release.set()


async def test_without_ray_the_embedded_model_serves_and_the_monitor_sees_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streetvision.cluster.transport.find_spec", lambda _: None)
    config = tiny_config(depth=1)
    save_checkpoint(tmp_path / "tiny", config, build(config).state_dict())
    settings = Settings(
        model=ModelSettings(choice=str(tmp_path / "tiny")),
        backend=BackendSettings(choice="ray"),
        state_dir=tmp_path / "state",
        device="cpu",
        threads=1,
        subtensor=SubtensorSettings(network="mock"),
    )
    models = ServedModels(settings, choose_model(settings), CollectorRegistry())
    try:
        await models.start()
        answer = await models.engine.predict(grey_photo(99), deadline=time.monotonic() + 8.0, priority=0.0)
        assert answer.served_by == "embedded"
        seen = models.backend
        assert seen is not None
        assert (seen.name, seen.trouble, seen.why) == ("ray", RemoteTrouble.MISSING, "Ray is not installed")
    finally:
        await models.manager.close()
        await models.engine.close()
        await models.close_backend()
