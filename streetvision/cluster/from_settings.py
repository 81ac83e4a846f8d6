"""What the settings mean for the cluster: where its head is, what is deployed, how the miner gets there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streetvision.cluster.local import FOLDER, LocalRay
from streetvision.cluster.options import DeployOptions
from streetvision.cluster.transport import RayTransport
from streetvision.settings.settings import Settings


def local_ray(settings: Settings) -> LocalRay:
    """The head that this machine runs."""
    ray = settings.ray
    return LocalRay(
        settings.state_dir / FOLDER,
        host=ray.host,
        port=ray.port,
        object_store_mib=ray.object_store_mib,
        dashboard_port=ray.dashboard_port,
    )


def deploy_options(settings: Settings, versions: Sequence[str] = ()) -> DeployOptions:
    """What is deployed, with these versions warm from the start; raises ConfigError."""
    ray = settings.ray
    return DeployOptions(
        state=ray.models or str(settings.state_dir),
        versions=tuple(versions),
        device="cuda" if ray.gpus else "cpu",
        precision=settings.precision,
        threads=settings.threads,
        gpus=ray.gpus,
        cpus=ray.cpus,
        memory_mib=ray.memory_mib,
        min_replicas=ray.min_replicas,
        max_replicas=ray.max_replicas,
        most_models=ray.most_models,
    )


def ray_transport(settings: Settings, versions: Sequence[str] = (), *, start: bool = True) -> RayTransport:
    """The way to the cluster; without an address to this machine's Ray.

    That is started, and deployed to with these versions warm, where it is not there and `start` says so.
    """
    options: dict[str, Any] = {"address": settings.ray.head}
    if start and not settings.ray.address:
        head = local_ray(settings)
        options["start"] = {
            "folder": str(head.folder),
            "host": head.host,
            "port": head.port,
            "object_store_mib": head.object_store_mib,
            "dashboard_port": head.dashboard_port,
        }
        options["deploy"] = deploy_options(settings, versions).to_args()
    return RayTransport(options)
