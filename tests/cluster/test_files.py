"""The files for clusters: what Serve and KubeRay are told fits what the code takes."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from streetvision.cluster.local import ENVIRONMENT
from streetvision.cluster.options import APP, IMPORT_PATH, DeployOptions

FOLDER = Path(__file__).parents[2] / "scripts" / "cluster"


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


SERVICE = read("rayservice.yaml")


@pytest.mark.parametrize("config", [read("serve.yaml"), yaml.safe_load(SERVICE["spec"]["serveConfigV2"])])
def test_the_application_is_ours_and_its_arguments_are_known(config: dict[str, Any]) -> None:
    (app,) = config["applications"]
    assert (app["name"], app["import_path"], app["route_prefix"]) == (APP, IMPORT_PATH, None)
    options = DeployOptions.from_args(app["args"])
    assert options.min_replicas <= options.max_replicas
    assert config["proxy_location"] == "Disabled"


@pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own models, while they are imported
def test_serve_takes_its_configuration() -> None:
    from ray.serve.schema import ServeDeploySchema

    assert ServeDeploySchema.model_validate(read("serve.yaml")).applications[0].name == APP


def test_the_manifest_has_what_the_operator_needs() -> None:
    assert (SERVICE["apiVersion"], SERVICE["kind"]) == ("ray.io/v1", "RayService")
    cluster = SERVICE["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    state = yaml.safe_load(SERVICE["spec"]["serveConfigV2"])["applications"][0]["args"]["state"]
    for group in groups:
        spec = group["template"]["spec"]
        (container,) = spec["containers"]
        variables = {item["name"]: item.get("value") for item in container["env"]}
        assert variables.items() >= ENVIRONMENT.items()
        assert (
            "secretKeyRef" in next(item for item in container["env"] if item["name"] == "RAY_AUTH_TOKEN")["valueFrom"]
        )
        assert state in {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}


@pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")
def test_the_manifests_ray_is_the_one_that_was_tested() -> None:
    import ray

    assert SERVICE["spec"]["rayClusterConfig"]["rayVersion"] == ray.__version__
