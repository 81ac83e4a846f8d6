"""What is deployed: the same values here, in Serve's configuration and on a replica."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streetvision.cluster.options import DeployOptions
from streetvision.errors import ConfigError


def test_options_come_out_of_serves_configuration_as_they_went_in() -> None:
    options = DeployOptions(state="/models", versions=("1.0.0", "1.1.0"), gpus=0.25, min_replicas=0, max_replicas=4)
    assert DeployOptions.from_args(json.loads(json.dumps(options.to_args()))) == options


@pytest.mark.parametrize(
    "changes",
    [
        {"min_replicas": 2, "max_replicas": 1},
        {"max_replicas": 0, "min_replicas": 0},
        {"gpus": 1.5},
        {"gpus": -0.5},
        {"most_models": 0},
        {"versions": ("1", "2", "3", "4")},
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        DeployOptions(state="/models", **changes)


@pytest.mark.parametrize("args", [{}, {"state": "/m", "secret": 1}])
def test_arguments_of_another_release_are_refused(args: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        DeployOptions.from_args(args)


def test_a_fixed_number_of_replicas_is_not_scaled() -> None:
    told = DeployOptions(state="/m", min_replicas=2, max_replicas=2).deployment()
    assert told["num_replicas"] == 2
    assert "autoscaling_config" not in told


def test_replicas_are_scaled_between_bounds_from_none() -> None:
    told = DeployOptions(state="/m", gpus=0.5, memory_mib=512, min_replicas=0, max_replicas=3).deployment()
    scaling = told["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["initial_replicas"], scaling["max_replicas"]) == (0, 1, 3)
    assert told["ray_actor_options"] == {"num_cpus": 1.0, "num_gpus": 0.5, "memory": 512 * 2**20}
