"""The simulated subnet: validators, miners, epochs, registrations and evictions; everything drawn from one seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from streetvision.chain.metagraph import MetagraphSnapshot, Neuron
from streetvision.monitor.pruning import pruning_order
from streetvision.monitor.thresholds import DAY, SECONDS_PER_BLOCK

TEMPO = 360
IMMUNITY = 21_600
OWNER, OWN = "owner-hotkey", "own-hotkey"
ENDPOINT = "203.0.113.7:8091"
ALPHA_PER_TEMPO = 360 * 0.41
"""The miners' part of a tempo's emission."""
START_TIME = 1_795_000_000.0
START_BLOCK = 6_000_000
WEIGHTS_EVERY = 100
"""Blocks between two settings of weights by one validator."""


@dataclass(slots=True)
class Miner:
    """A simulated rival: what validators think of it, without noise."""

    skill: float


class Subnet:
    """256 UIDs: the owner, `validators`, the own miner and its rivals. The attributes are what scenarios turn."""

    def __init__(self, seed: int = 0, *, uids: int = 256, validators: int = 7) -> None:
        self.rng = random.Random(seed)
        self.block, self.time = START_BLOCK, START_TIME
        self.last_epoch = START_BLOCK
        self.halted = False
        """Whether validators burn everything from the next epoch on."""
        self.burn_share = 0.0
        self.asleep: set[str] = set()
        """Validators that neither ask nor set weights."""
        self.mute: set[str] = set()
        """Validators that set no weights, or of whom no request arrives, as the miner's world decides."""
        self.own_skill = 0.72
        self.rivals_gain = 1.0
        """Factor on the skill of rivals that are worse than the own miner."""
        self.alpha_price = 0.02
        self.registrations_per_day = 2.0
        self.name = "StreetVision"
        self.axon: str | None = ENDPOINT
        self.weights_stopped = False
        self._skills: dict[str, Miner] = {}
        self._newcomers = 0
        self.neurons = self._genesis(uids, validators)
        self._epoch()

    def _genesis(self, uids: int, validators: int) -> list[Neuron]:
        old = START_BLOCK - 30 * IMMUNITY
        rows = [_row(0, OWNER, old, coldkey="owner", stake=1.0)]
        for uid in range(1, validators + 1):
            rows.append(_row(uid, f"validator-{uid}", old + uid, permit=True, stake=200_000.0 / uid))
        rows.append(_row(len(rows), OWN, START_BLOCK - 10 * IMMUNITY))
        while len(rows) < uids:
            hotkey = self._newcomer()
            rows.append(_row(len(rows), hotkey, START_BLOCK - self.rng.randint(IMMUNITY, 20 * IMMUNITY)))
        return [replace(row, last_update=START_BLOCK - 7 * row.uid) for row in rows]

    def _newcomer(self) -> str:
        self._newcomers += 1
        hotkey = f"miner-{self._newcomers}"
        self._skills[hotkey] = Miner(0.9 * self.rng.betavariate(3.0, 2.0))
        return hotkey

    @property
    def validators(self) -> list[Neuron]:
        """Rows with a permit."""
        return [n for n in self.neurons if n.validator_permit]

    @property
    def own(self) -> Neuron | None:
        """The own row, None after eviction."""
        return next((n for n in self.neurons if n.hotkey == OWN), None)

    def advance(self, blocks: int) -> None:
        """Pass `blocks` blocks of 12 s, with their epochs, weights and registrations."""
        self.block += blocks
        self.time += blocks * SECONDS_PER_BLOCK
        chance = self.registrations_per_day * blocks * SECONDS_PER_BLOCK / DAY
        while self.rng.random() < chance:
            self.register(self._newcomer())
            chance -= 1
        self._set_weights()
        if self.block - self.last_epoch >= TEMPO:
            self.last_epoch += TEMPO
            self._epoch()

    def _set_weights(self) -> None:
        if self.weights_stopped:
            return
        for row in self.validators:
            due = row.last_update + WEIGHTS_EVERY + row.uid
            if row.hotkey not in self.asleep and self.block >= due:
                self.neurons[row.uid] = replace(row, last_update=self.block - self.rng.randint(0, 2))

    def _epoch(self) -> None:
        """Incentive by skill with noise; the owner burns its part."""
        burn = 1.0 if self.halted else self.burn_share
        worth = {n.uid: self._worth(n) for n in self.neurons if not n.validator_permit and n.hotkey != OWNER}
        total = sum(worth.values()) or 1.0
        for i, row in enumerate(self.neurons):
            incentive = burn if row.hotkey == OWNER else (1 - burn) * worth.get(row.uid, 0.0) / total
            emission = ALPHA_PER_TEMPO * (incentive if not row.validator_permit else row.stake / 500_000)
            self.neurons[i] = replace(
                row, incentive=incentive, emission=emission, trust=min(1.0, incentive * 200), consensus=incentive
            )

    def _worth(self, row: Neuron) -> float:
        skill = self.own_skill if row.hotkey == OWN else self._skills[row.hotkey].skill
        if row.hotkey != OWN and skill < self.own_skill:
            skill *= self.rivals_gain
        return max(0.0, skill) ** 3 * (1 + self.rng.gauss(0.0, 0.03)) if skill > 0 else 0.0

    def register(self, hotkey: str) -> None:
        """A registration takes the UID that the chain's rule gives away."""
        self._take(pruning_order(self.snapshot(0.0))[0].uid, hotkey)

    def deregister_own(self) -> None:
        """A competitor gets our UID."""
        own = self.own
        if own is not None:
            self._take(own.uid, self._newcomer())

    def renew_own(self, age_blocks: int) -> None:
        """Make the own registration this young, unpaid so far."""
        own = self.own
        if own is not None:
            row = _row(own.uid, OWN, self.block - age_blocks)
            self.neurons[own.uid] = row

    def _take(self, uid: int, hotkey: str) -> None:
        self.neurons[uid] = _row(uid, hotkey, self.block)

    def snapshot(self, taken_at: float) -> MetagraphSnapshot:
        """What the miner reads at its clock's `taken_at`."""
        return MetagraphSnapshot(
            netuid=72,
            block=self.block,
            taken_at=taken_at,
            tempo=TEMPO,
            owner_hotkey=OWNER,
            max_uids=len(self.neurons),
            neurons=tuple(_published(self.neurons, self.axon)),
            last_epoch=self.last_epoch,
            immunity_period=IMMUNITY,
            registration_price=0.1,
            owner_coldkey="owner",
            name=self.name,
            alpha_price=self.alpha_price,
            min_non_immune_uids=10,
            immune_owner_uids=1,
            block_time=self.time,
        )


def _published(rows: Sequence[Neuron], axon: str | None) -> list[Neuron]:
    return [replace(row, axon=axon) if row.hotkey == OWN else row for row in rows]


def _row(
    uid: int, hotkey: str, registered_at: int, *, coldkey: str = "", permit: bool = False, stake: float = 0.0
) -> Neuron:
    return Neuron(
        uid=uid,
        hotkey=hotkey,
        coldkey=coldkey or f"cold-{hotkey}",
        validator_permit=permit,
        stake=stake,
        rank=0.0,
        trust=0.0,
        consensus=0.0,
        incentive=0.0,
        dividends=0.0,
        pruning_score=0.0,
        emission=0.0,
        last_update=0,
        block_at_registration=registered_at,
        axon=None,
        collateral=0.0,
    )
