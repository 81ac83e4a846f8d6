"""What the settings mean for the cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from streetvision.cluster.from_settings import deploy_options, local_ray, ray_transport
from streetvision.cluster.transport import RayTransport
from streetvision.errors import ConfigError
from streetvision.miner.from_settings import backend_transport, remote_policy
from streetvision.settings.backend import BackendSettings, RaySettings
from streetvision.settings.fields import setting
from streetvision.settings.settings import Settings


def settings(**ray: object) -> Settings:
    return Settings(state_dir=Path("/srv/one"), ray=RaySettings(**ray))  # type: ignore[arg-type]


def test_only_a_backend_that_is_asked_for_has_a_transport() -> None:
    assert backend_transport(Settings(), "1.0.0") is None
    chosen = Settings(backend=BackendSettings(choice="ray", in_flight=3, batch=16))
    assert isinstance(backend_transport(chosen, "1.0.0"), RayTransport)
    assert (remote_policy(chosen).in_flight, remote_policy(chosen).largest) == (3, 16)


def test_ray_is_started_here_unless_an_address_names_a_cluster() -> None:
    here = ray_transport(settings(port=7000), ["1.0.0"])._options
    assert (here["address"], here["start"]["folder"]) == ("127.0.0.2:7000", "/srv/one/ray")
    assert (here["deploy"]["state"], here["deploy"]["versions"]) == ("/srv/one", ["1.0.0"])
    assert ray_transport(settings(), start=False)._options == {"address": "127.0.0.2:6379"}
    assert ray_transport(settings(address="10.0.0.5:6379"))._options == {"address": "10.0.0.5:6379"}


def test_replicas_get_what_the_settings_say() -> None:
    options = deploy_options(settings(gpus=0.25, max_replicas=4, models="/mnt/models"), ["1.0.0"])
    assert (options.state, options.versions, options.device) == ("/mnt/models", ("1.0.0",), "cuda")
    assert deploy_options(settings()).device == "cpu"
    assert local_ray(settings(port=7000)).address == "127.0.0.2:7000"


@pytest.mark.parametrize(
    "text",
    ["here", "10.0.0.5", "10.0.0.5:0", "a b:6379", "http://10.0.0.5:6379", "a,b:6379", "[::1]:6379", "[name]:6379"],
)
def test_a_wrong_address_is_refused_at_once(text: str) -> None:
    with pytest.raises(ConfigError):
        setting("ray.address").read(text, "--ray.address")


def test_replicas_have_bounds_that_fit() -> None:
    with pytest.raises(ConfigError, match="min_replicas"):
        settings(min_replicas=2)
