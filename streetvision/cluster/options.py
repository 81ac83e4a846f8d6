"""How the models are deployed: plain values that go into Serve's configuration, and come out of it on a replica."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from streetvision.errors import ConfigError

APP, DEPLOYMENT = "streetvision", "Models"
IMPORT_PATH = "streetvision.cluster.app:build"
ROUTER = "streetvision.cluster.router:EarliestFinish"
SCALING = "streetvision.cluster.scaling:scale"
STATS_SECONDS = 0.5
"""Between two reports of a replica to the router."""
MOST_BATCHES = 64
"""Batches in one replica at once: its own batcher orders them, so that Serve's queue stays empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOptions:
    """What `streetvision cluster deploy` takes."""

    state: str
    """State folder with the registry `models/`, as replicas see it: on every node, or on a disk that they share."""
    versions: tuple[str, ...] = ()
    """Loaded and warmed before a replica counts as ready; others are loaded when they are first asked for."""
    device: str = "auto"
    precision: str = "default"
    threads: int = 0
    """CPU threads of a replica's model; 0: torch's choice."""
    gpus: float = 0.0
    """GPUs of a replica; below 1, several share one."""
    cpus: float = 1.0
    memory_mib: int = 0
    """Memory that a replica asks the scheduler for; 0: it asks for none."""
    min_replicas: int = 1
    """0: no replica while nobody asks; the embedded model answers until the first one is warm."""
    max_replicas: int = 1
    most_models: int = 3
    """Versions loaded in one replica at once."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_replicas <= self.max_replicas or self.max_replicas < 1:
            raise ConfigError("--ray.min_replicas may not exceed --ray.max_replicas, which must be at least 1")
        if self.gpus < 0 or self.cpus < 0 or self.most_models < 1:
            raise ConfigError("--ray.gpus and --ray.cpus may not be negative, and --ray.most_models must be at least 1")
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ConfigError("--ray.gpus above 1 must be a whole number: only one GPU can be shared")
        if len(self.versions) > self.most_models:
            raise ConfigError(f"{len(self.versions)} versions are to be loaded: raise --ray.most_models to as many")

    def to_args(self) -> dict[str, Any]:
        """As JSON values, for Serve's configuration."""
        return asdict(self) | {"versions": list(self.versions)}

    @classmethod
    def from_args(cls, args: Mapping[str, Any]) -> DeployOptions:
        """What `to_args` gave; raises ConfigError for a name that is not known."""
        unknown = set(args) - {one.name for one in fields(cls)}
        if unknown or "state" not in args:
            raise ConfigError(f"the deployment's arguments do not fit: {', '.join(sorted(unknown)) or 'no state'}")
        return cls(**{**args, "versions": tuple(args.get("versions", ()))})

    def deployment(self) -> dict[str, Any]:
        """Serve's options of the deployment, as JSON values."""
        return {
            "max_ongoing_requests": MOST_BATCHES,
            "logging_config": {"enable_access_log": False, "log_level": "WARNING"},
            "health_check_period_s": 5.0,
            "health_check_timeout_s": 20.0,
            "graceful_shutdown_wait_loop_s": 0.5,
            "graceful_shutdown_timeout_s": 20.0,
            "user_config": {"versions": list(self.versions)},
            "ray_actor_options": self._actor(),
            "request_router_config": {
                "request_router_class": ROUTER,
                "request_routing_stats_period_s": STATS_SECONDS,
                "request_routing_stats_timeout_s": 5.0,
            },
        } | self._replicas()

    def _actor(self) -> dict[str, Any]:
        memory = {"memory": self.memory_mib * 2**20} if self.memory_mib else {}
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, **memory}

    def _replicas(self) -> dict[str, Any]:
        if self.min_replicas == self.max_replicas:
            return {"num_replicas": self.max_replicas}
        scaling = {
            "min_replicas": self.min_replicas,
            "max_replicas": self.max_replicas,
            "initial_replicas": max(1, self.min_replicas),
            "target_ongoing_requests": 4,
            "metrics_interval_s": 1.0,
            "look_back_period_s": 5.0,
            "upscale_delay_s": 2.0,
            "downscale_delay_s": 120.0,
            "downscale_to_zero_delay_s": 600.0,
            "policy": {"policy_function": SCALING},
        }
        return {"autoscaling_config": scaling}
