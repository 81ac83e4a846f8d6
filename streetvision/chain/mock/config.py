"""What the mocked chain starts with: the subnet's settings and the development keys on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from bittensor.sp_core import Keypair

from streetvision.settings.upkeep import MockSettings
from streetvision.subnet import SUBNET

RAO = 10**9
"""Rao in one TAO, and in one alpha."""

VALIDATORS = ("Alice", "Bob", "Charlie")
"""Names of the development keys at UIDs 0, 1 and 2; the first owns the subnet."""

OUTSIDER = "Eve"
"""A funded development key that is not registered."""

FUNDED = (*VALIDATORS, "Dave", OUTSIDER, "Miner")
"""Development keys whose coldkey holds `MockConfig.funds_tao`."""


@cache
def dev_hotkey(name: str) -> Any:  # noqa: ANN401 - the SDK's Keypair is a native class without stubs
    """The sr25519 development key `//name`; everybody knows its secret."""
    return Keypair.create_from_uri(f"//{name}")


@cache
def dev_coldkey(name: str) -> Any:  # noqa: ANN401 - as above
    """The coldkey that owns `//name` on the mocked chain: `//name//coldkey`."""
    return Keypair.create_from_uri(f"//{name}//coldkey")


@dataclass(frozen=True)
class MockConfig:
    """One simulated subnet; the defaults are what Subnet 72 shows, on a smaller scale."""

    netuid: int = SUBNET.netuid
    subnet_name: str = "StreetVision (mocked)"
    subnet_owner: str = ""
    """Coldkey of the subnet's owner; empty: the first validator's."""
    subnet_age: int = 50 * 21_600
    """Blocks before the first one at which the netuid was given to the subnet."""
    seed: int = 72
    start_block: int = 6_000_000
    block_time_s: float = MockSettings.block_time
    tempo: int = MockSettings.tempo
    immunity_period: int = 21_600
    serving_rate_limit: int = 50
    neurons: int = 32
    """UIDs taken at the start, the development keys included (at least 5)."""
    max_uids: int = 64
    """At most 256, as on the real subnet."""
    min_non_immune_uids: int = 10
    immune_owner_uids: int = 1
    max_registrations_per_block: int = 1
    miner_registered: bool = MockSettings.registered
    """Whether the miner starts registered, at UID 4 and still immune."""
    miner_hotkey: str = dev_hotkey("Miner").ss58_address
    """Address of the miner's hotkey; its coldkey is `//Miner//coldkey` whatever it is."""
    registration_allowed: bool = True
    pow_allowed: bool = False
    pow_difficulty: int = 2_000
    burn_tao: float = 0.1
    min_burn_tao: float = 0.0005
    max_burn_tao: float = 100.0
    burn_half_life: int = 360
    burn_increase: float = 1.26
    funds_tao: float = 100.0
    weights_rate_limit: int = 0
    alpha_per_block: float = 1.0
    alpha_price: float = 0.02
    """TAO for one alpha in the pool."""
    miner_collateral: float = 0.0
    """Alpha that the miner has locked."""
    score_ttl_tempos: int = 2
    """Tempos for which a score given by an external validator stays valid."""

    def __post_init__(self) -> None:
        if not 5 <= self.neurons <= self.max_uids <= 256:
            raise ValueError("the mocked subnet needs 5 <= neurons <= max_uids <= 256")
