"""What is worth a warning before a fleet starts, and keeps none of the others from starting."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from streetvision.fleet.fleet_file import Fleet, load_fleet
from streetvision.fleet.preflight import coldkeys, preflight

from .conftest import THREE as TAKEN
from .conftest import Write

THREE = re.sub(r"axon.port = \d+", "axon.port = 0", TAKEN)
"""On whichever ports are free."""


def real(write: Write, folder: Path) -> Fleet:
    """On a real network, with wallets in a folder of the test's."""
    text = THREE.replace('network = "mock"', f'network = "finney"\nwallet.path = "{folder / "w"}"')
    return load_fleet(write(text), {})


def test_a_calm_fleet_has_nothing_to_say(write: Write) -> None:
    assert list(preflight(load_fleet(write(THREE), {}))) == []


def test_unknown_hotkeys_and_a_coldkey_on_the_machine(write: Write, folder: Path) -> None:
    wallet = folder / "w" / "default"
    (wallet / "hotkeys").mkdir(parents=True)
    (wallet / "hotkeys" / "hot1").write_text("{}")
    (wallet / "coldkey").write_text("x")
    fleet = real(write, folder)
    said = list(preflight(fleet))
    assert coldkeys(fleet) == [wallet / "coldkey"]
    assert [sentence.partition(":")[0] for sentence in said[:2]] == ["hot2 will not start", "hot3 will not start"]
    assert "btcli wallet new-hotkey --wallet default --wallet-hotkey hot2" in said[0]
    assert "mining needs hotkeys alone, move it to another machine" in said[2]
    assert len(said) == 3


def test_a_port_that_somebody_holds(write: Write) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        (said,) = preflight(
            load_fleet(write(THREE.replace("port = 0\n[miners.hot3]", f"port = {port}\n[miners.hot3]")), {})
        )
    assert said.startswith(f"hot2 will not start: Port {port} on 127.0.0.1 is already in use")
    assert said.endswith("choose another axon.port.")


def test_a_name_that_leads_out_of_the_wallets(write: Write, folder: Path) -> None:
    write(THREE.replace('network = "mock"', 'network = "finney"') + 'wallet.hotkey = "../x"\n')
    said = list(preflight(load_fleet(folder / "fleet.toml", {})))
    assert any("hot3 will not start: '../x' is no hotkey name" in sentence for sentence in said)


def test_logs_that_are_bounded_for_a_single_miner_each(write: Write) -> None:
    (said,) = preflight(load_fleet(write(THREE.replace("log.max_gib = 1\n", "")), {}))
    assert said == "the prediction logs of 3 miners may grow to 60.0 GiB: set log.max_gib in [shared]"
