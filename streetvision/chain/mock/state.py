"""The state of the mocked subnet: immutable values and the pure steps from one to the next."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

from streetvision.chain.mock.config import FUNDED, RAO, VALIDATORS, MockConfig, dev_coldkey, dev_hotkey

K = TypeVar("K")
V = TypeVar("V")


def with_item(mapping: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    """A copy of the mapping with one item set, read-only."""
    return MappingProxyType({**mapping, key: value})


@dataclass(frozen=True, slots=True)
class Row:
    """One UID. Scores are in [0, 1]; stake and emission are in rao of alpha."""

    uid: int
    hotkey: str
    coldkey: str
    registered_at: int
    validator_permit: bool = False
    stake: int = 0
    skill: float | None = None
    """What every validator knows of a simulated miner; None for keys held by somebody."""
    axon: Mapping[str, int] | None = None
    """The chain's AxonInfo fields, with the block at which it was published."""
    last_update: int = 0
    rank: float = 0.0
    trust: float = 0.0
    consensus: float = 0.0
    incentive: float = 0.0
    dividends: float = 0.0
    pruning_score: float = 0.0
    emission: int = 0


@dataclass(frozen=True, slots=True)
class Score:
    """A score in [0, 1] that an external validator gave, and when."""

    value: float
    block: int


@dataclass(frozen=True)
class SubnetState:
    """The whole mocked chain at one block."""

    config: MockConfig
    block: int
    timestamp_ms: int
    block_time_s: float
    rows: tuple[Row, ...] = field(repr=False)
    accounts: Mapping[str, int] = field(repr=False)
    """Free rao by address."""
    owners: Mapping[str, str] = field(repr=False)
    """Coldkey by hotkey, for every hotkey that was ever registered."""
    burn_base: int
    """Rao at `burn_block`; see `burn`."""
    burn_block: int
    last_epoch: int
    epoch_index: int = 0
    halted: bool = False
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict, repr=False)
    """Rows set by extrinsic: validator hotkey -> hotkey -> weight."""
    scores: Mapping[str, Mapping[str, Score]] = field(default_factory=dict, repr=False)
    """Scores given from outside: validator hotkey -> hotkey -> score."""
    nonces: Mapping[str, int] = field(default_factory=dict, repr=False)
    used_work: frozenset[str] = frozenset()
    last_pow: Mapping[str, int] = field(default_factory=dict)
    registrations_this_block: int = 0
    newcomers: int = 0
    """Simulated miners made since the start, for the names of the next ones."""

    @property
    def burn(self) -> int:
        """The registration price in rao: it halves every `burn_half_life` blocks down to the minimum."""
        elapsed = self.block - self.burn_block
        price = self.burn_base * 0.5 ** (elapsed / self.config.burn_half_life)
        return int(min(max(price, self.config.min_burn_tao * RAO), self.config.max_burn_tao * RAO))

    @property
    def owner_coldkey(self) -> str:
        """Who owns the subnet."""
        return self.config.subnet_owner or self.rows[0].coldkey

    def find(self, hotkey: str) -> Row | None:
        """The row of a hotkey, or None when it is not registered."""
        return next((row for row in self.rows if row.hotkey == hotkey), None)

    def with_row(self, row: Row) -> SubnetState:
        """This state with one UID's row replaced, or appended when the UID is the next free one."""
        rows = list(self.rows)
        rows[row.uid : row.uid + 1] = [row]
        return replace(self, rows=tuple(rows))

    def with_free(self, address: str, rao: int) -> SubnetState:
        """This state with an account's free balance set."""
        return replace(self, accounts=with_item(self.accounts, address, rao))


def simulated_keys(config: MockConfig, number: int) -> tuple[str, str]:
    """Hotkey and coldkey addresses of simulated miner `number`."""
    name = f"mock-{config.seed}-{number}"
    return dev_hotkey(name).ss58_address, dev_coldkey(name).ss58_address


def simulated_skill(config: MockConfig, number: int) -> float:
    """The seeded reward in [0, 0.9] that validators see in a simulated miner."""
    return 0.9 * random.Random(f"{config.seed}/skill/{number}").betavariate(2.0, 1.6)


def _dev_row(uid: int, name: str, registered_at: int, **fields: Any) -> Row:  # noqa: ANN401 - Row's own fields
    return Row(uid, dev_hotkey(name).ss58_address, dev_coldkey(name).ss58_address, registered_at, **fields)


def _genesis_rows(config: MockConfig) -> Iterator[Row]:
    old = config.start_block - 40 * config.immunity_period
    for uid, name in enumerate(VALIDATORS):
        stake = (50_000 - 15_000 * uid) * RAO
        yield _dev_row(uid, name, old + uid, validator_permit=True, stake=stake)
    yield _dev_row(3, "Dave", config.start_block - 2 * config.immunity_period)
    if config.miner_registered:
        registered_at = config.start_block - config.immunity_period // 10
        yield Row(4, config.miner_hotkey, dev_coldkey("Miner").ss58_address, registered_at)
    ages = random.Random(f"{config.seed}/ages")
    for uid in range(4 + config.miner_registered, config.neurons):
        hotkey, coldkey = simulated_keys(config, uid)
        age = ages.randint(config.immunity_period // 2, 4 * config.immunity_period)
        yield Row(uid, hotkey, coldkey, config.start_block - age, skill=simulated_skill(config, uid))


def genesis(config: MockConfig, timestamp_ms: int) -> SubnetState:
    """The first block, before its first epoch; `timestamp_ms` is Unix time."""
    rows = tuple(_genesis_rows(config))
    funds = {dev_coldkey(name).ss58_address: int(config.funds_tao * RAO) for name in FUNDED}
    return SubnetState(
        config=config,
        block=config.start_block,
        timestamp_ms=timestamp_ms,
        block_time_s=config.block_time_s,
        rows=rows,
        accounts=MappingProxyType(funds),
        owners=MappingProxyType({row.hotkey: row.coldkey for row in rows}),
        burn_base=int(config.burn_tao * RAO),
        burn_block=config.start_block,
        last_epoch=config.start_block,
        newcomers=config.neurons,
    )
