"""The settings of who computes the answers: the model in this process, or a backend that several miners share."""

from __future__ import annotations

from dataclasses import dataclass

from streetvision.errors import ConfigError
from streetvision.settings.parsing import declare, integer, number, one_of, parse_address, parse_cluster

BACKENDS = ("embedded", "ray", "modal")


@dataclass(frozen=True, kw_only=True)
class BackendSettings:
    """Who answers, and how it is asked: `--backend` and `--backend.*`."""

    choice: str = declare(
        "embedded",
        "Who computes the answers: `embedded` (the model in this process), `ray` (models that several miners share "
        "through Ray Serve) or `modal` (GPUs at Modal, rented by the second). The embedded model answers whenever a "
        "backend does not. See docs/scaling.md and docs/modal.md.",
        one_of(*BACKENDS),
    )
    in_flight: int = declare(8, "Batches that may be on their way to the backend at once.", integer(1, 256))
    batch: int = declare(32, "Pictures in a batch to the backend, at most.", integer(1, 256))


@dataclass(frozen=True, kw_only=True)
class RaySettings:
    """The cluster that `--backend ray` asks, and what `streetvision cluster` starts and deploys: `--ray.*`."""

    address: str = declare(
        "",
        "Address of the cluster's head, `host:port`. Empty: Ray on this machine, which is started if it does not run.",
        parse_cluster,
    )
    host: str = declare(
        "127.0.0.2",
        "Address on which a head started here listens; the default is loopback, as Ray does not take it for "
        "another. Whoever reaches it can run programs as this user: else a network of your own only.",
        parse_address,
    )
    port: int = declare(6379, "Port of a head started here.", integer(1, 65535))
    dashboard_port: int = declare(8265, "Port of its dashboard, on loopback.", integer(1, 65535))
    object_store_mib: int = declare(128, "Memory for its object store, in MiB; requests need none.", integer(75, 10**6))
    models: str = declare(
        "", "State folder with the registry as replicas see it; empty: this miner's. Must be there on every node.", str
    )
    gpus: float = declare(0.0, "GPUs of a replica; 0.25: four share one. 0: the CPU.", number(0.0, 64.0))
    cpus: float = declare(1.0, "CPU cores that a replica asks for.", number(0.0, 1024.0))
    memory_mib: int = declare(0, "Memory that a replica asks for, in MiB; 0: it asks for none.", integer(0, 10**7))
    min_replicas: int = declare(
        1, "Replicas while nobody asks. 0: none; the embedded model answers until one is warm.", integer(0, 1024)
    )
    max_replicas: int = declare(1, "Replicas at most.", integer(1, 1024))
    most_models: int = declare(3, "Versions loaded in one replica at once.", integer(1, 64))

    def __post_init__(self) -> None:
        if self.min_replicas > self.max_replicas:
            raise ConfigError("--ray.min_replicas may not exceed --ray.max_replicas")

    @property
    def head(self) -> str:
        """Address of the head that is asked: the named one, or ours."""
        return self.address or f"{self.host}:{self.port}"
