"""What runs on the cluster: Serve's deployment around a `ModelHost`; its path is `streetvision.cluster.app:build`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from streetvision.cluster.options import DEPLOYMENT, DeployOptions
from streetvision.engine.transport import ModelPin, RemoteFailure
from streetvision.engine.types import Runner
from streetvision.errors import OperatorError
from streetvision.runner.model_host import ModelHost, OpenModel

BEAT_SECONDS = 1.0


def build(args: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a Serve application
    """The application for Serve; raises ConfigError for arguments that `DeployOptions` does not know."""
    from ray import serve
    from ray.serve.config import RequestRouterConfig

    options = DeployOptions.from_args(args)
    given = options.deployment()
    given["request_router_config"] = RequestRouterConfig(**given["request_router_config"])
    return serve.deployment(name=DEPLOYMENT, **given)(Replica).bind(options.to_args())


class Replica:
    """One replica; Serve calls its methods on one event loop."""

    def __init__(self, args: Mapping[str, Any], open_model: OpenModel | None = None) -> None:
        """`open_model` is the registry's unless a test brings its own."""
        options = DeployOptions.from_args(args)
        self._host = ModelHost(
            open_model or opener(options), most=options.most_models, name=f"{os.uname().nodename}:{os.getpid()}"
        )
        self._beating: asyncio.Task[None] | None = None

    async def reconfigure(self, user_config: Mapping[str, Any]) -> None:
        """Load what shall be warm; Serve calls it before the replica gets requests, and when a new list is deployed.

        A version that cannot be opened is no reason to fail: whoever asks for it is told, and others are served.
        """
        if self._beating is None:
            self._beating = asyncio.ensure_future(self._beat())
        for version in user_config.get("versions", ()):
            await self.warm(version)

    async def warm(self, version: str) -> None:
        """Load a version that somebody has begun to ask for; what is wrong with it is told to whoever asks."""
        with suppress(RemoteFailure):
            await self._host.open(version)

    async def predict(self, head: Mapping[str, Any], block: bytes | memoryview) -> tuple[dict[str, Any], bytes]:
        """Answer a batch as `remote_wire` packs it; a failure is an answer too, so that it arrives as it is."""
        return await self._host.answer_parts(head, block)

    def check_health(self) -> None:
        """Serve replaces a replica for which this raises."""
        if self._host.lost is not None:
            raise RuntimeError(f"the device is lost: {self._host.lost}")

    def record_routing_stats(self) -> dict[str, Any]:
        """For the router: when it will be done, and which versions are warm."""
        return {"work": self._host.work, "versions": list(self._host.versions), "free": _free_gpu_bytes()}

    def record_autoscaling_stats(self) -> dict[str, float]:
        """For the autoscaler."""
        return {"work": self._host.work}

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            self._host.beat()


def opener(options: DeployOptions) -> OpenModel:
    """Opens versions of the registry that this machine sees, on the device that Ray has given the replica."""

    def open_model(version: str) -> tuple[Runner, ModelPin]:
        from streetvision.registry.registry import open_registry
        from streetvision.runner.opening import open_runner
        from streetvision.runner.remote import pin_of
        from streetvision.runner.torch_runner import TorchRunner

        runner = open_runner(
            open_registry(Path(options.state)).get(version).folder,
            device=options.device,
            precision=options.precision,
            threads=options.threads or None,
        )
        if not isinstance(runner, TorchRunner):
            raise OperatorError(f"version {version} takes several passes over a picture: the miner answers it itself")
        return runner, pin_of(version, runner.config)

    return open_model


def _free_gpu_bytes() -> int:
    import torch

    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else 0
