"""Two miners that cannot run side by side are found before either starts."""

from __future__ import annotations

import pytest

from streetvision.errors import ConfigError
from streetvision.fleet.fleet_file import load_fleet

from .conftest import THREE, Write


def refused(write: Write, text: str) -> str:
    with pytest.raises(ConfigError) as error:
        load_fleet(write(text), {})
    return str(error.value)


def test_the_same_port(write: Write) -> None:
    said = refused(write, THREE.replace("18093", "18091"))
    assert said.startswith("hot1 (axon.port) and hot3 (axon.port) both listen on port 18091: give each its own in /")


def test_a_metrics_port_that_is_another_ones_axon(write: Write) -> None:
    said = refused(write, THREE + "metrics.port = 18092\n")
    assert "hot2 (axon.port) and hot3 (metrics.port) both listen on port 18092" in said


def test_the_fleets_own_port(write: Write) -> None:
    said = refused(write, THREE.replace("port = 0", "port = 18092"))
    assert "the fleet (port in [fleet]) and hot2 (axon.port) both listen on port 18092" in said


def test_the_same_port_on_two_addresses_is_no_conflict(write: Write) -> None:
    load_fleet(write(THREE.replace("18093", '18091\naxon.ip = "127.0.0.2"')), {})
    assert "both listen" in refused(write, THREE.replace("18093", '18091\naxon.ip = "0.0.0.0"'))


def test_port_0_is_any_free_one(write: Write) -> None:
    load_fleet(write(THREE.replace("18093", "0").replace("18092", "0")), {})


def test_the_same_state_folder_however_it_is_written(write: Write) -> None:
    said = refused(write, THREE + 'state_dir = "{folder}/hot2/../hot1"\n')
    assert said.startswith("hot1 and hot3 have the same state_dir /")


def test_the_same_hotkey(write: Write) -> None:
    said = refused(write, THREE + 'wallet.hotkey = "hot1"\n')
    assert said.startswith("hot1 and hot3 have the same hotkey default/hot1, which has one UID")
    load_fleet(write(THREE + 'wallet.hotkey = "hot1"\nwallet.name = "warm"\n'), {})


def test_the_same_published_endpoint(write: Write) -> None:
    text = THREE.replace("[miners.hot1]", 'axon.external_ip = "203.0.113.7"\n[miners.hot1]')
    load_fleet(write(text), {})
    said = refused(write, text + "axon.external_port = 18091\n")
    assert said.startswith("hot1 and hot3 would publish the same endpoint 203.0.113.7:18091")
