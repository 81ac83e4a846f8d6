"""What to do about a trouble with the cluster, as a clause that follows a colon."""

from __future__ import annotations

from collections.abc import Mapping

from streetvision.engine.transport import RemoteTrouble

REMEDIES: Mapping[RemoteTrouble, str] = {
    RemoteTrouble.MISSING: "install it with pip install 'streetvision[ray]'",
    RemoteTrouble.UNREACHABLE: "start it with `streetvision cluster up`, or correct --ray.address",
    RemoteTrouble.REFUSED: "copy the head's ~/.ray/auth_token to this machine, or name it in RAY_AUTH_TOKEN_PATH",
    RemoteTrouble.UNKNOWN_VERSION: "deploy it with `streetvision cluster deploy VERSION`",
    RemoteTrouble.OTHER_WEIGHTS: "deploy the version again, from the registry that the miner uses",
    RemoteTrouble.SKEW: "use the same releases of streetvision, Ray and Python here and there",
    RemoteTrouble.NO_MEMORY: "give a replica more with --ray.memory_mib or --ray.gpus, or deploy fewer versions",
}
OTHERWISE = "read the cluster's page or the log `ray/head.log` in the state folder"


def remedy_of(trouble: RemoteTrouble) -> str:
    """The step that an operator takes."""
    return REMEDIES.get(trouble, OTHERWISE)
