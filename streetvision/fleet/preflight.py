"""What is worth a warning before a fleet starts: it concerns one miner, and keeps none of the others from starting."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from streetvision.base.wording import gib, listed
from streetvision.chain.hotkey_file import check_name, require_hotkey
from streetvision.errors import OperatorError
from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.member import Member
from streetvision.fleet.running import holder
from streetvision.net.sockets import listen
from streetvision.settings.upkeep import LogSettings


def preflight(fleet: Fleet) -> Iterator[str]:
    """Sentences with their remedies: hotkeys that are not here, coldkeys that are, ports that are taken, large logs."""
    for member in fleet.members:
        for look in (_hotkey, _ports):
            try:
                look(member)
            except OperatorError as error:
                yield f"{member.name} will not start: {error}"
    yield from _coldkeys(fleet)
    if words := large_logs(fleet):
        yield f"{words}: set log.max_gib in [shared]"


def _hotkey(member: Member) -> None:
    if member.settings.is_mock:
        return
    wallet, hotkey = member.settings.wallet.names
    check_name("wallet", wallet, "wallet.name")
    check_name("hotkey", hotkey, "wallet.hotkey")
    require_hotkey(wallet, hotkey, str(member.settings.wallet.path))


def _ports(member: Member) -> None:
    """A miner that runs already holds them itself."""
    if holder(member) is not None:
        return
    settings = member.settings
    for hosts, port, name in (
        (settings.axon.hosts, settings.axon.port, "axon"),
        ((settings.metrics.address,), settings.http_port, "metrics"),
    ):
        if port:
            for bound in listen(hosts, port, port_flag=f"{name}.port", address_flag=f"{name} address"):
                bound.close()


def coldkeys(fleet: Fleet) -> list[Path]:
    """Coldkeys of the fleet's wallets that lie on this machine."""
    wallets = (member.settings.wallet for member in fleet.members if not member.settings.is_mock)
    files = {wallet.path / wallet.names[0] / "coldkey" for wallet in wallets}
    return sorted(file for file in files if os.path.lexists(file))


def _coldkeys(fleet: Fleet) -> Iterator[str]:
    if found := coldkeys(fleet):
        yield (
            f"{listed(map(str, found))} on this machine: mining needs hotkeys alone, move it to another machine and "
            "keep its mnemonic offline"
        )


def large_logs(fleet: Fleet) -> str:
    """How much the logs may take where each has the bound that is meant for a single miner; else empty."""
    bounds = [member.settings.log.max_gib for member in fleet.members if member.settings.log.enabled]
    if len(bounds) > 1 and all(bound == LogSettings.max_gib for bound in bounds):
        return f"the prediction logs of {len(bounds)} miners may grow to {gib(int(sum(bounds) * 2**30))}"
    return ""
