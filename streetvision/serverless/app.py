"""The app at Modal: image, volume, GPU, snapshot, and the class that answers. Imports the extra `modal`.

Modal imports this module in the container too, and makes one `Model` there.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import modal

from streetvision.serverless.payload import Payload
from streetvision.settings.modal import CARDS, ModalSettings

CLASS = "Model"
MOUNT = "/models"
PRECISION = "STREETVISION_MODAL_PRECISION"
APP_VOLUME = "STREETVISION_MODAL_VOLUME"
NEEDS = ("numpy", "pillow", "safetensors", "simplejpeg", "timm", "torch", "triton", "huggingface_hub", "packaging")
"""What the model needs in the container, each in the release of this machine: the same code gives the same answers."""
OURS = ("streetvision", "streetvision_kernels")
SIDE_BY_SIDE = 8
"""Batches that a container takes at once: one is computed while the others travel."""
CORES, MEMORY_MIB = 2.0, 8192
TIMEOUT_S, START_S = 60, 600


class Model:
    """One container. Warmed before Modal takes its snapshot, so that later starts begin with that memory."""

    @modal.enter(snap=True)
    def warm(self) -> None:
        """Load what is deployed and run it once."""
        from streetvision.serverless.replica import Replica

        self.replica = Replica(Path(MOUNT), _opening, name=os.environ.get("MODAL_TASK_ID", ""), refresh=_refresh)
        self.replica.warm()

    @modal.method()
    def answer(self, payload: Payload) -> Payload:
        """See payload.py."""
        return self.replica.answer(payload)


def make_app(settings: ModalSettings, precision: str = "default") -> modal.App:
    """The app of these settings, not deployed yet; needs no network."""
    app = modal.App(settings.app)
    app.cls(
        image=_image(),
        gpu=CARDS[settings.card],
        cpu=CORES,
        memory=MEMORY_MIB,
        volumes={MOUNT: volume_of(settings).with_mount_options(read_only=True)},
        env={PRECISION: precision, APP_VOLUME: volume_name(settings)},
        min_containers=settings.warm,
        max_containers=max(settings.most, settings.warm),
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


def volume_of(settings: ModalSettings, sdk: Any = modal) -> Any:  # noqa: ANN401 - Modal's, made at run time
    """The volume, made when it is first used."""
    environment = settings.environment or None
    return sdk.Volume.from_name(volume_name(settings), environment_name=environment, create_if_missing=True)


def requirements() -> list[str]:
    """Pinned to what is installed here; a local build's suffix, such as `+cu130`, is on no index."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in NEEDS]


def _image() -> modal.Image:
    """Triton compiles its launchers with gcc."""
    base = modal.Image.debian_slim(python_version="3.11").apt_install("gcc", "libc6-dev").pip_install(*requirements())
    return base.add_local_python_source(*OURS, ignore=["**/__pycache__/**"])


def _opening(folder: Path) -> Any:  # noqa: ANN401 - a Runner, whose module brings torch
    from streetvision.runner.opening import open_runner

    return open_runner(folder, device="auto", precision=os.environ.get(PRECISION, "default"))


def _refresh() -> None:
    """Show what was uploaded since the container started."""
    name = os.environ.get(APP_VOLUME)
    if name is not None:
        modal.Volume.from_name(name).reload()
