"""What two miners of one machine must not share: a port, a state folder, a hotkey, a published endpoint. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streetvision.errors import ConfigError
from streetvision.fleet.member import Member
from streetvision.settings.network import EVERY_ADDRESS


@dataclass(frozen=True, slots=True)
class _Listener:
    """One port that is listened on."""

    whose: str
    setting: str
    addresses: tuple[str, ...]
    port: int

    def meets(self, other: _Listener) -> bool:
        """Whether both cannot be had; port 0 is any free one."""
        everywhere = any(address in EVERY_ADDRESS for address in (*self.addresses, *other.addresses))
        return 0 != self.port == other.port and (everywhere or not set(self.addresses).isdisjoint(other.addresses))


def refuse_conflicts(members: Sequence[Member], address: str, port: int, file: Path) -> None:
    """ConfigError that names the first two who cannot run side by side; `address` and `port` are the fleet's own."""
    for number, member in enumerate(members):
        for earlier in members[:number]:
            _refuse_shared(earlier, member, file)
    listeners = [_Listener("the fleet", "port in [fleet]", (address,), port)]
    for member in members:
        for one in _listeners(member):
            for other in listeners:
                if one.meets(other):
                    raise ConfigError(
                        f"{other.whose} ({other.setting}) and {one.whose} ({one.setting}) both listen on port "
                        f"{one.port}: give each its own in {file}"
                    )
            listeners.append(one)


def _listeners(member: Member) -> Iterator[_Listener]:
    axon, metrics = member.settings.axon, member.settings.metrics
    yield _Listener(member.name, "axon.port", axon.hosts, axon.port)
    yield _Listener(member.name, "metrics.port", (metrics.address,), member.settings.http_port)


def _refuse_shared(one: Member, other: Member, file: Path) -> None:
    both = f"{one.name} and {other.name}"
    if one.folder.resolve() == other.folder.resolve():
        raise ConfigError(f"{both} have the same state_dir {one.folder}: give each its own in {file}")
    if _hotkey(one) == _hotkey(other):
        wallet, hotkey = one.settings.wallet.names
        raise ConfigError(
            f"{both} have the same hotkey {wallet}/{hotkey}, which has one UID: give each its own wallet.hotkey in "
            f"{file}"
        )
    endpoint = _published(one)
    if endpoint is not None and endpoint == _published(other):
        raise ConfigError(
            f"{both} would publish the same endpoint {endpoint[0]}:{endpoint[1]}: give each its own axon.external_port "
            f"in {file}"
        )


def _hotkey(member: Member) -> tuple[Path, tuple[str, str]]:
    wallet = member.settings.wallet
    return wallet.path.resolve(), wallet.names


def _published(member: Member) -> tuple[str, int] | None:
    """What validators would be told to call, as far as the settings say."""
    axon = member.settings.axon
    port = axon.external_port or axon.port
    return (axon.external_ip, port) if axon.external_ip and port else None
