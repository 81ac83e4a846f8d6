"""What runs in a container, without Modal: real checkpoints on a volume, and whatever is amiss told in an answer."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pytest
import torch

from streetvision.engine.remote_wire import answer_of, batch_parts
from streetvision.engine.transport import ModelPin, RemoteAnswer, RemoteBatch, RemoteFailure, RemoteTrouble
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.runner.model_host import ModelHost
from streetvision.runner.remote import pin_of
from streetvision.runner.torch_runner import TorchRunner
from streetvision.serverless.container import KEPT, newest_versions, warm_host, watch

from ..test_layers import probed

SIDE = tiny_config().input_size
IMAGES = np.random.default_rng(72).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)


def put(volume: Path, version: str = "1.0.0", seed: int = 0) -> ModelPin:
    """A small model on the volume, as a deployment uploads it."""
    torch.manual_seed(seed)
    config = replace(tiny_config(depth=1), version=version)
    made = save_checkpoint(volume.parent / "making", config, build(config).state_dict())
    pin = pin_of(version, made)
    (volume / version).mkdir(exist_ok=True)
    (volume.parent / "making").rename(volume / version / pin.fingerprint)
    return pin


def opened(folder: Path) -> TorchRunner:
    return TorchRunner(folder, device="cpu", buckets=(1, 2), threads=1)


@asynccontextmanager
async def warm(volume: Path, **options: object) -> AsyncIterator[ModelHost]:
    host = await warm_host(volume, opened, **options)  # type: ignore[arg-type]
    try:
        yield host
    finally:
        await host.close()


async def ask(host: ModelHost, pin: ModelPin, seconds: float = 5.0) -> RemoteAnswer:
    sent = RemoteBatch(pin, IMAGES, (seconds, seconds), (0.0, 0.0), ("", ""))
    head, block = batch_parts(sent)
    return answer_of(*await host.answer_parts(head, bytes(block)))


async def trouble(host: ModelHost, pin: ModelPin, seconds: float = 5.0) -> RemoteFailure:
    with pytest.raises(RemoteFailure) as told:
        await ask(host, pin, seconds)
    return told.value


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


async def test_a_container_answers_as_the_embedded_model_does(volume: Path) -> None:
    pin = put(volume)
    async with warm(volume, name="ta-1") as host:
        assert host.versions == ("1.0.0",)
        answer = await ask(host, pin)
    runner = opened(volume / pin.version / pin.fingerprint)
    runner.warmup()
    expected = runner.run(IMAGES)
    assert (answer.model, answer.replica) == (pin, "ta-1")
    assert np.allclose(answer.logits, expected.logits, atol=1e-5)
    assert np.allclose(answer.embeddings, expected.embeddings, atol=1e-2)


async def test_a_volume_that_is_not_there_is_no_failure(tmp_path: Path) -> None:
    async with warm(tmp_path / "none") as host:
        assert host.versions == ()


async def test_a_damaged_model_costs_neither_the_start_nor_the_others(volume: Path) -> None:
    good, bad = put(volume), put(volume, "2.0.0", seed=1)
    (volume / "2.0.0" / bad.fingerprint / "model.safetensors").write_bytes(b"junk")
    async with warm(volume) as host:
        assert len((await ask(host, good)).logits) == 2
        assert (await trouble(host, bad)).trouble is RemoteTrouble.UNKNOWN_VERSION


async def test_a_version_that_is_not_there_is_told_after_a_fresh_look(volume: Path) -> None:
    looks = list[str]()
    async with warm(volume, refresh=lambda: looks.append("look")) as host:
        failure = await trouble(host, ModelPin("3.0.0", "cd" * 32))
    assert (failure.trouble, looks) == (RemoteTrouble.UNKNOWN_VERSION, ["look"])
    assert "streetvision modal deploy" in str(failure)


async def test_a_model_uploaded_since_the_start_is_found(volume: Path, tmp_path: Path) -> None:
    aside = tmp_path / "elsewhere" / "aside"
    aside.mkdir(parents=True)
    pin = put(aside)

    def refresh() -> None:
        (aside / pin.version).rename(volume / pin.version)

    async with warm(volume, refresh=refresh) as host:
        assert len((await ask(host, pin)).logits) == 2


async def test_other_weights_of_a_version_are_told(volume: Path) -> None:
    pin = put(volume)
    async with warm(volume) as host:
        assert (await trouble(host, replace(pin, fingerprint="cd" * 32))).trouble is RemoteTrouble.OTHER_WEIGHTS


async def test_a_folder_under_another_models_name_is_not_loaded(volume: Path) -> None:
    pin = put(volume)
    (volume / "1.0.0" / pin.fingerprint).rename(volume / "1.0.0" / ("cd" * 32))
    async with warm(volume) as host:
        assert "are not those that were deployed" in str(await trouble(host, pin))


@pytest.mark.parametrize("version", ["", "..", "../../etc", "1.0"])
async def test_a_version_is_no_path(volume: Path, version: str) -> None:
    async with warm(volume) as host:
        assert (await trouble(host, ModelPin(version, "ab" * 32))).trouble is RemoteTrouble.UNKNOWN_VERSION


async def test_a_batch_that_cannot_be_in_time_is_refused(volume: Path) -> None:
    pin = put(volume)
    async with warm(volume) as host:
        assert (await trouble(host, pin, seconds=-1.0)).trouble is RemoteTrouble.OVERLOADED


async def test_junk_is_answered_by_a_trouble(volume: Path) -> None:
    async with warm(volume) as host:
        for head, block in (({}, b""), ({"protocol": 1}, b""), ({"protocol": 99}, b"x")):
            said, nothing = await host.answer_parts(head, block)
            assert (said["trouble"], nothing) == ("skew", b"")


def test_the_newest_models_are_warmed(volume: Path) -> None:
    for version in ("3.0.0", "1.0.0", "2.0.0"):
        (volume / version).mkdir()
    for when, version in enumerate(("3.0.0", "1.0.0", "2.0.0")):
        os.utime(volume / version, (when, when))
    assert newest_versions(volume, KEPT) == ["1.0.0", "2.0.0"]


async def test_a_lost_device_ends_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.serverless.container.BEAT_S", 0.001)
    beats, gave_up = list[str](), list[str]()

    class Host:
        @property
        def lost(self) -> str | None:
            return "CUDA error" if len(beats) == 3 else None

        def beat(self) -> None:
            beats.append("beat")

    await asyncio.wait_for(watch(Host(), gave_up.append), 2.0)  # type: ignore[arg-type]
    assert gave_up == ["CUDA error"]


def absent_there(needs: Sequence[str]) -> frozenset[str]:
    """Our dependencies that an image with these has not."""
    lines = [line for line in requires("streetvision") or () if "extra" not in line]
    ours = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower().replace("-", "_") for line in lines}
    absent = ours - {name.lower().replace("-", "_") for name in (*needs, "rich")} | {"dotenv"}  # Modal brings rich
    assert {"bittensor", "loguru", "typer", "uvicorn"} <= absent
    return frozenset(absent)


def test_a_container_needs_only_what_its_image_has() -> None:
    """All other dependencies of ours are absent there."""
    pytest.importorskip("modal", reason="the extra `modal` is not installed")
    from streetvision.serverless.app import NEEDS

    modules = ["streetvision.serverless.app", "streetvision.serverless.container", "streetvision.runner.opening"]
    assert probed(modules, absent_there(NEEDS), frozenset())["failed"] == []


def test_a_trainings_container_needs_only_what_its_image_has() -> None:
    """Nor are the extras that a training there does without."""
    pytest.importorskip("modal", reason="the extra `modal` is not installed")
    from streetvision.serverless.training_app import TRAIN_NEEDS

    absent = absent_there(TRAIN_NEEDS) | {"wandb", "pyarrow", "fiftyone", "boto3"}
    modules = ["streetvision.serverless.training_app", "streetvision.serverless.learning"]
    assert probed(modules, absent, frozenset())["failed"] == []
