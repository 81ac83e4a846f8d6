"""The mocked chain: blocks by an injected clock, what is included in them, and the subnet they carry.

It is what `--subtensor.network mock` and the tests run. `MockSubstrate` puts the SDK's own client on top of it.
Extrinsics are sealed instantly: each submission makes a block of its own at once, as development nodes do, so a caller
never waits for `block_time`; the clock makes the empty blocks between.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from bittensor import ExtrinsicResult

from streetvision.chain.mock.config import RAO, MockConfig, dev_coldkey, dev_hotkey
from streetvision.chain.mock.state import Row, Score, SubnetState, genesis, with_item
from streetvision.chain.mock.steps import advance, evict, place, settle

HISTORY = 300
"""Blocks whose state stays readable, as a pruned node keeps them."""

GENESIS_MS = 1_790_000_000_000
"""Unix milliseconds of the first block, unless told otherwise."""

StateChange = Callable[[SubnetState], SubnetState]


@dataclass
class Block:
    """One sealed block: the state after it and what became of the extrinsics in it."""

    number: int
    hash: str
    parent: str
    state: SubnetState = field(repr=False)
    results: dict[str, ExtrinsicResult] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def header(self) -> dict[str, Any]:
        """The header in the shape in which the SDK's transport yields it."""
        return {"number": self.number, "hash": self.hash, "parentHash": self.parent}


class MockChain:
    """An in-memory chain with one subnet; all of it lives on one event loop."""

    def __init__(self, config: MockConfig | None = None, *, start_ms: int = GENESIS_MS, run: str = "") -> None:
        """`run` tells one run of the chain from another, as a purged chain's first block does."""
        self.config = config or MockConfig()
        self.run_name = run
        self.before_seal: StateChange | None = None
        """Called once on the next block's state before its extrinsics: a competitor in the same block, in tests."""
        self._blocks: OrderedDict[str, Block] = OrderedDict()
        self._listeners: set[asyncio.Queue[dict[str, Any]]] = set()
        self._tick = asyncio.Event()
        self._append(settle(genesis(self.config, start_ms)))

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def head(self) -> Block:
        """The newest block."""
        return next(reversed(self._blocks.values()))

    @property
    def state(self) -> SubnetState:
        """The state at the newest block."""
        return self.head.state

    def block_hash(self, number: int) -> str:
        """The 0x-hash [32 bytes] of a block number; a pure function of it, the seed and the run."""
        return "0x" + blake2b(f"{self.config.seed}:{self.run_name}:{number}".encode(), digest_size=32).hexdigest()

    def at(self, block_hash: str | None) -> Block:
        """The block of a hash, the newest for None; KeyError when it is unknown or older than `HISTORY` blocks."""
        return self.head if block_hash is None else self._blocks[block_hash]

    async def headers(self) -> AsyncGenerator[dict[str, Any], None]:
        """Headers of the blocks sealed from now on; a reader that falls 1,000 behind loses the oldest."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1_000)
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    # -- sealing -------------------------------------------------------------------------------------------------------

    def _append(self, state: SubnetState) -> Block:
        block = Block(state.block, self.block_hash(state.block), self.block_hash(state.block - 1), state)
        self._blocks[block.hash] = block
        if len(self._blocks) > HISTORY:
            self._blocks.popitem(last=False)
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(block.header)
        return block

    def seal(self, step: StateChange | None = None) -> Block:
        """Make the next block, with `step` applied in it."""
        state = advance(self.state)
        if self.before_seal is not None:
            intrusion, self.before_seal = self.before_seal, None
            state = intrusion(state)
        return self._append(state if step is None else step(state))

    def advance(self, blocks: int = 1) -> SubnetState:
        """Make this many empty blocks and return the state after them."""
        for _ in range(blocks):
            self.seal()
        return self.state

    def amend(self, step: StateChange) -> None:
        """Change the newest block's state in place: for what does not happen on chain, such as a setting."""
        self.head.state = step(self.state)

    async def run(self, sleep: Callable[[float], Awaitable[None]] | None = None) -> None:
        """Seal an empty block every `block_time` seconds until cancelled; a new block time counts from its setting."""
        while True:
            if sleep is not None:
                await sleep(self.state.block_time_s)
            elif await self._retimed(self.state.block_time_s):
                continue
            self.seal()

    async def _retimed(self, seconds: float) -> bool:
        self._tick.clear()
        try:
            await asyncio.wait_for(self._tick.wait(), seconds)
        except TimeoutError:
            return False
        return True

    # -- what tests and demos arrange ----------------------------------------------------------------------------------

    def halt(self, halted: bool = True) -> None:
        """Whether every validator gives everything to the owner's UID, from the next epoch on."""
        self.amend(lambda state: replace(state, halted=halted))

    def deregister(self, hotkey: str) -> None:
        """Seal a block in which a competitor takes this hotkey's UID; KeyError when it is not registered."""
        self.seal(lambda state: evict(state, hotkey))

    def register(self, hotkey: str, coldkey: str, skill: float | None = None) -> Row:
        """Seal a block that registers a hotkey without payment and return its row; ValueError when it is registered."""
        if self.state.find(hotkey) is not None:
            raise ValueError(f"{hotkey} is already registered")
        self.seal(lambda state: place(state, hotkey, coldkey, skill))
        row = self.state.find(hotkey)
        assert row is not None  # noqa: S101 - placed just above
        return row

    def register_dev(self, name: str) -> Row:
        """`register` for the development key `//name`."""
        return self.register(dev_hotkey(name).ss58_address, dev_coldkey(name).ss58_address)

    def fund(self, address: str, tao: float) -> None:
        """Put free TAO on an account, as for a wallet of the operator's own that is to register."""
        self.amend(lambda state: state.with_free(address, state.accounts.get(address, 0) + round(tao * RAO)))

    def set_block_time(self, seconds: float) -> None:
        """Seconds between empty blocks from now on."""
        if not 0.001 <= seconds <= 3600:
            raise ValueError("the block time must lie between 0.001 and 3600 seconds")
        self.amend(lambda state: replace(state, block_time_s=seconds))
        self._tick.set()

    def reconfigure(self, **changes: Any) -> None:  # noqa: ANN401 - MockConfig's own fields
        """Change settings of the subnet, such as `registration_allowed=False`."""
        self.amend(lambda state: replace(state, config=replace(state.config, **changes)))

    def give_scores(self, validator: str, scores: Mapping[str, float]) -> None:
        """Record a permitted validator's scores in [0, 1] by hotkey; they count in the epochs of the next tempos.

        Scores of hotkeys that are not registered (any more) are left out, as weights are given to UIDs.
        LookupError for a caller without a permit, ValueError for a score outside [0, 1].
        """
        row = self.state.find(validator)
        if row is None or not row.validator_permit:
            raise LookupError(f"{validator} holds no validator permit on netuid {self.config.netuid}")
        _check_scores(scores.values())
        now = self.state.block
        given = {hotkey: Score(float(value), now) for hotkey, value in scores.items() if self.state.find(hotkey)}
        kept = {hotkey: score for hotkey, score in self.state.scores.get(validator, {}).items() if hotkey not in given}
        merged = MappingProxyType({**kept, **given})
        self.amend(lambda state: replace(state, scores=with_item(state.scores, validator, merged)))


def _check_scores(values: Iterable[float]) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
            raise ValueError(f"a score must be a number in [0, 1], not {value!r}")
