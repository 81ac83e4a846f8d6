"""Putting the models on a cluster that this process is a driver of, and asking how they stand."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from streetvision.cluster.app import build
from streetvision.cluster.options import APP, DEPLOYMENT, DeployOptions


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """What `streetvision cluster status` tells."""

    address: str
    dashboard: str
    nodes: int
    gpus: float
    cpus: float
    state: str
    """Serve's word for the application, such as RUNNING; empty where nothing is deployed."""
    message: str
    replicas: dict[str, int] = field(default_factory=dict)
    """Replicas by Serve's word for their state."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def deploy_models(options: DeployOptions) -> None:
    """Deploy, or update what is deployed: replicas are replaced one after the other while the others answer.

    Returns when they are ready; raises what Ray raises.
    """
    from ray import serve

    serve.start(proxy_location="Disabled")
    serve.run(build(options.to_args()), name=APP, route_prefix=None)


def remove_models() -> bool:
    """Take the models off the cluster; False where none were there. Raises what Ray raises."""
    from ray import serve

    if APP not in serve.status().applications:
        return False
    serve.delete(APP)
    return True


def cluster_status(address: str, dashboard: str) -> ClusterStatus:
    """How the cluster stands that this process is a driver of."""
    import ray
    from ray import serve

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    app = serve.status().applications.get(APP)
    deployment = None if app is None else app.deployments.get(DEPLOYMENT)
    return ClusterStatus(
        address,
        dashboard,
        nodes=sum(bool(node["Alive"]) for node in ray.nodes()),  # type: ignore[no-untyped-call]
        gpus=resources.get("GPU", 0.0),
        cpus=resources.get("CPU", 0.0),
        state="" if app is None else str(getattr(app.status, "value", app.status)),
        message="" if app is None else (app.message or (deployment.message if deployment else "")),
        replicas={}
        if deployment is None
        else {str(getattr(state, "value", state)): count for state, count in deployment.replica_states.items()},
    )
