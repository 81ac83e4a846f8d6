"""The app at Modal: image, volume, GPU, snapshot, and the class that answers. Imports the extra `modal`.

Modal imports this module in the container too, and makes one `Model` there.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import modal

from streetvision.settings.modal import CARDS, ModalSettings

CLASS = "Model"
MOUNT = "/models"
PRECISION = "STREETVISION_MODAL_PRECISION"
APP_VOLUME = "STREETVISION_MODAL_VOLUME"
NEEDS = (
    *("numpy", "pillow", "prometheus_client", "safetensors", "simplejpeg"),
    *("huggingface_hub", "packaging", "timm", "torch", "triton"),
)
"""What the model needs in the container, each in the release of this machine: the same code gives the same answers."""
OURS = ("streetvision", "streetvision_kernels")
SIDE_BY_SIDE = 32
"""Batches that a container takes at once: those of all miners, which it computes by their deadlines."""
CORES, MEMORY_MIB = 2.0, 8192
TIMEOUT_S, START_S = 60, 600

Parts = tuple[dict[str, Any], bytes]

logger = logging.getLogger(__name__)


class Model:
    """One container. Warmed before Modal takes its snapshot, so that later starts begin with that memory."""

    host: Any = None
    """A ModelHost, whose module brings torch."""

    @modal.enter(snap=True)
    async def warm(self) -> None:
        """Load what is deployed and run it once."""
        await self._ready()

    @modal.enter(snap=False)
    async def begin(self) -> None:
        """Watch the device; this is done anew after each start from a snapshot."""
        from streetvision.serverless.container import watch

        self.watching = asyncio.create_task(watch(await self._ready(), _give_up))

    @modal.method()
    async def answer(self, head: dict[str, Any], block: bytes) -> Parts:
        """A batch's answer, as engine/remote_wire.py has both."""
        parts: Parts = await (await self._ready()).answer_parts(head, block)
        return parts

    async def _ready(self) -> Any:  # noqa: ANN401 - as `host`
        """The host; made here too, as Modal's `local` runs no hooks before an asynchronous method."""
        from streetvision.serverless.container import warm_host

        if self.host is None:
            name = os.environ.get("MODAL_TASK_ID", "")
            self.host = await warm_host(Path(MOUNT), _opening, name=name, refresh=_refresh)
        return self.host


def make_app(settings: ModalSettings, precision: str = "default") -> modal.App:
    """The app of these settings, not deployed yet; needs no network."""
    app = modal.App(settings.app)
    app.cls(
        image=image_with(),
        gpu=CARDS[settings.card],
        cpu=CORES,
        memory=MEMORY_MIB,
        volumes={MOUNT: volume_of(settings).with_mount_options(read_only=True)},
        env={PRECISION: precision, APP_VOLUME: volume_name(settings)},
        min_containers=settings.warm,
        max_containers=settings.containers,
        scaledown_window=settings.idle_s,
        timeout=TIMEOUT_S,
        startup_timeout=START_S,
        enable_memory_snapshot=True,
        experimental_options={"enable_gpu_snapshot": True},
    )(modal.concurrent(max_inputs=SIDE_BY_SIDE)(Model))
    return app


def volume_name(settings: ModalSettings) -> str:
    """Of the volume that holds the models."""
    return f"{settings.app}-models"


def volume_of(settings: ModalSettings, sdk: Any = modal, *, name: str = "") -> Any:  # noqa: ANN401 - Modal's, made at run time
    """The models' volume or another of that name, made when it is first used."""
    name, environment = name or volume_name(settings), settings.environment or None
    return sdk.Volume.from_name(name, environment_name=environment, create_if_missing=True)


def requirements(needs: Sequence[str] = NEEDS) -> list[str]:
    """Pinned to what is installed here; a local build's suffix, such as `+cu130`, is on no index."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in needs]


def image_with(needs: Sequence[str] = NEEDS) -> modal.Image:
    """Triton compiles its launchers with gcc."""
    base = modal.Image.debian_slim(python_version="3.11").apt_install("gcc", "libc6-dev")
    return base.pip_install(*requirements(needs)).add_local_python_source(*OURS, ignore=["**/__pycache__/**"])


def _opening(folder: Path) -> Any:  # noqa: ANN401 - a Runner, whose module brings torch
    from streetvision.runner.opening import open_runner

    return open_runner(folder, device="auto", precision=os.environ.get(PRECISION, "default"))


def _refresh() -> None:
    """Show what was uploaded since the container started."""
    name = os.environ.get(APP_VOLUME)
    if name is not None:
        modal.Volume.from_name(name).reload()


def _give_up(why: str) -> None:
    """Take no more calls: Modal starts another container."""
    from modal.experimental import stop_fetching_inputs

    logger.error("the device is lost (%s): this container takes no more calls", why)
    stop_fetching_inputs()
