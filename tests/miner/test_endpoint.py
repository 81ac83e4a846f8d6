"""The published address: named, own public one, or a clear refusal."""

from __future__ import annotations

import pytest

from streetvision.errors import ConfigError
from streetvision.miner.endpoint import Endpoint, external_endpoint, own_addresses
from streetvision.settings.network import AxonSettings, SubtensorSettings
from streetvision.settings.settings import Settings


def test_a_named_address_is_taken_as_it_is() -> None:
    settings = Settings(axon=AxonSettings(external_ip="203.0.113.7", external_port=80))
    assert external_endpoint(settings, 8091) == Endpoint("203.0.113.7", 80)


def test_the_port_listened_on_is_the_default() -> None:
    assert external_endpoint(Settings(axon=AxonSettings(external_ip="2001:db8::7")), 8091).port == 8091


def test_own_public_address_is_found() -> None:
    endpoint = external_endpoint(Settings(), 8091, addresses=lambda: ["8.8.4.4"])
    assert str(endpoint) == "8.8.4.4:8091"


def test_ipv6_is_published_only_when_named() -> None:
    assert not any(":" in address for address in own_addresses())
    endpoint = external_endpoint(Settings(axon=AxonSettings(external_ip="2a00:1450:4001::1")), 8091)
    assert endpoint.is_ipv6
    assert str(endpoint) == "[2a00:1450:4001::1]:8091"


@pytest.mark.parametrize("addresses", [["10.0.0.5"], ["127.0.0.1", "fe80::1"], []])
def test_behind_nat_the_operator_must_say(addresses: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"--axon\.external_ip .*forward its port 8091"):
        external_endpoint(Settings(), 8091, addresses=lambda: addresses)


def test_listening_on_a_private_address_is_no_public_one() -> None:
    with pytest.raises(ConfigError, match=r"192\.168\.1\.5"):
        external_endpoint(Settings(axon=AxonSettings(ip="192.168.1.5")), 8091, addresses=lambda: ["8.8.8.8"])


def test_local_chains_take_private_addresses() -> None:
    settings = Settings(subtensor=SubtensorSettings(network="local"))
    assert external_endpoint(settings, 1, addresses=lambda: ["10.0.0.5"]) == Endpoint("10.0.0.5", 1)


def test_the_mock_network_stays_on_loopback() -> None:
    mock = Settings(subtensor=SubtensorSettings(network="mock"))
    assert external_endpoint(mock, 7, addresses=lambda: ["8.8.8.8"]) == Endpoint("127.0.0.1", 7)
    assert external_endpoint(
        Settings(subtensor=SubtensorSettings(network="mock"), axon=AxonSettings(ip="::1")), 7
    ) == Endpoint("::1", 7)
    assert external_endpoint(
        Settings(subtensor=SubtensorSettings(network="mock"), axon=AxonSettings(ip="0.0.0.0")), 7
    ) == Endpoint("127.0.0.1", 7)


def test_asking_for_own_addresses_sends_nothing_and_never_fails() -> None:
    assert isinstance(own_addresses(), list)
