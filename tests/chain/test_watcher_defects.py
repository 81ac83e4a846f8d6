"""The facade and the watcher when something raises an error that nobody foresaw, or that only a defect explains."""

from __future__ import annotations

import asyncio
import concurrent.futures
import decimal
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loguru import logger

from streetvision.chain.client import Chain
from streetvision.chain.connection import Backoff, ChainAwayError
from streetvision.chain.mock.chain import MockChain
from streetvision.chain.mock.network import MockNetwork
from streetvision.chain.mock.substrate import MockSubstrate
from streetvision.chain.watcher import MetagraphWatcher, WatchPolicy

POLICY = WatchPolicy(poll_s=6.0, every_blocks=1, min_interval_s=1.0, backoff=Backoff(1.0, 8.0))
LAST_LOOK = 20
RECOVERY = 8


class Unheard(Exception):
    """An error of a kind that nobody foresaw."""


class Faulty(MockSubstrate):
    """Trips at the step in `fault`, and while it does so also when closed."""

    def __init__(self, chain: MockChain, fault: dict[str, Exception]) -> None:
        super().__init__(chain)
        self._fault = fault

    async def connect(self) -> None:
        self._trip("connect")

    async def block_number(self) -> int:
        self._trip("block")
        return await super().block_number()

    async def close(self) -> None:
        for step in list(self._fault):
            self._trip(step)

    def _trip(self, step: str) -> None:
        if step in self._fault:
            raise self._fault[step]


@pytest.fixture
def spoken() -> Iterator[list[str]]:
    """What the log says at WARNING and above, one entry a line."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message).rstrip()), level="WARNING", format="{level} {message}")
    yield lines
    logger.remove(sink)


async def watch(chain: Chain, at_look: Callable[[int], object]) -> tuple[MetagraphWatcher, list[float]]:
    """Let a watcher look for a while, on time that passes only between its looks; it must still be alive then."""
    pauses: list[float] = []
    finished = asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        at_look(len(pauses))
        if len(pauses) == LAST_LOOK:
            finished.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    watcher = MetagraphWatcher(chain, POLICY, monotonic=lambda: sum(pauses), sleep=sleep, rng=random.Random(2))
    task = watcher.start()
    await asyncio.wait({task, asyncio.ensure_future(finished.wait())}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
    assert not task.done()
    await watcher.stop()
    assert task.cancelled()
    return watcher, pauses


SDK_ERRORS = [
    OverflowError("int too big to convert"),
    AssertionError(),
    struct.error("unpack requires a buffer of 4 bytes"),
    decimal.InvalidOperation(),
    asyncio.InvalidStateError("invalid state"),
    concurrent.futures.InvalidStateError("invalid state"),
]


@pytest.mark.parametrize("error", SDK_ERRORS, ids=lambda error: f"{type(error).__module__}.{type(error).__name__}")
async def test_what_the_sdk_trips_over_is_a_chain_that_is_away(error: Exception, spoken: list[str]) -> None:
    chain = Chain("mock", 72, substrate_factory=lambda _: MockSubstrate(MockChain()))

    async def fail(_: Any) -> None:
        raise error

    with pytest.raises(ChainAwayError, match=rf"gave no answer \(read: {type(error).__name__}"):
        await chain.call("read", fail, 1.0)
    assert chain.endpoint is None
    assert len(spoken) == 1


@pytest.mark.parametrize("step", ["connect", "block"])
@pytest.mark.parametrize("error", [*SDK_ERRORS, Unheard("of")], ids=lambda error: type(error).__name__)
async def test_the_watcher_outlives_every_error_and_goes_on(step: str, error: Exception) -> None:
    mock, fault = MockChain(), {step: error}
    dials: list[float] = []

    async def between_dials(seconds: float) -> None:
        dials.append(seconds)
        if len(dials) == 5:
            fault.clear()

    def script(look: int) -> None:
        mock.seal()
        if look == RECOVERY:
            fault.clear()

    chain = Chain("mock", 72, substrate_factory=lambda _: Faulty(mock, fault), sleep=between_dials)
    watcher, pauses = await watch(chain, script)
    assert watcher.failures == 0
    assert watcher.current is not None
    assert watcher.current.block == mock.head.number - 1
    assert pauses[-1] == POLICY.poll_s
    grown = pauses if step == "block" else dials
    assert grown[0] <= 1.0 < grown[2] <= 4.0


async def test_an_unforeseen_error_is_reported_once_with_its_type_and_costs_the_connection(spoken: list[str]) -> None:
    mock = MockChain()
    opened: list[int] = []
    fault: dict[str, Exception] = {"block": Unheard("of")}

    def factory(_: str) -> Faulty:
        opened.append(1)
        return Faulty(mock, fault)

    def script(look: int) -> None:
        if look == RECOVERY:
            fault.clear()

    await watch(Chain("mock", 72, substrate_factory=factory), script)
    assert len(opened) == RECOVERY + 1
    assert [line for line in spoken if line.startswith("ERROR")] == [
        "ERROR chain: unexpected Unheard (of); the next look takes a new connection"
    ]
    assert spoken.count("WARNING chain: left mock (Unheard: of)") == RECOVERY


async def test_an_endpoint_that_fails_strangely_while_opening_gives_way_to_the_next() -> None:
    mock = MockChain()
    faults: dict[str, dict[str, Exception]] = {"a": {"connect": Unheard("of")}, "b": {}}
    chain = Chain("mock", 72, endpoints=["a", "b"], substrate_factory=lambda endpoint: Faulty(mock, faults[endpoint]))
    assert await chain.block() == mock.head.number
    assert chain.endpoint == "b"


async def test_a_listeners_error_of_any_kind_does_not_end_the_watcher() -> None:
    mock = MockChain()
    heard: list[int] = []
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context.get("exception")))
    chain = Chain("mock", 72, substrate_factory=lambda _: MockSubstrate(mock))

    def fail(_: Any, new: Any) -> None:
        heard.append(new.block)
        raise Unheard(new.block)

    watcher = MetagraphWatcher(chain, WatchPolicy(poll_s=0.001, every_blocks=1, min_interval_s=0.0))
    watcher.add_listener(fail)
    task = watcher.start()
    for _ in range(3):
        mock.seal()
        while mock.head.number not in heard:
            await asyncio.sleep(0.001)
    assert not task.done()
    await watcher.stop()
    assert len(errors) == len(heard) >= 3


async def test_stopping_a_dead_watcher_raises_nothing_and_says_what_it_died_of(spoken: list[str]) -> None:
    async def broken(_: float) -> None:
        raise Unheard("sleep")

    chain = Chain("mock", 72, substrate_factory=lambda _: MockSubstrate(MockChain()))
    watcher = MetagraphWatcher(chain, POLICY, sleep=broken)
    await asyncio.wait({watcher.start()})
    await watcher.stop()
    assert spoken == ["WARNING chain: metagraph-watcher had ended with Unheard: sleep"]


async def test_stopping_a_mocked_network_whose_blocks_have_ended(
    spoken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = MockNetwork()

    async def broken() -> None:
        raise Unheard("blocks")

    monkeypatch.setattr(network.mock, "run", broken)
    await network.start()
    await asyncio.sleep(0)
    await network.stop()
    assert spoken == ["WARNING chain: mock-blocks had ended with Unheard: blocks"]
