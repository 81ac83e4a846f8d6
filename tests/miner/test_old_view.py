"""What a node that shows an old state may not decide: that the hotkey lost its UID, or never had one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streetvision.chain.client import Chain
from streetvision.chain.mock.chain import GENESIS_MS, MockChain
from streetvision.chain.mock.config import MockConfig
from streetvision.chain.mock.substrate import MockSubstrate
from streetvision.chain.wallets import dev_wallet
from streetvision.errors import OperatorError
from streetvision.miner.from_settings import mock_network
from streetvision.miner.gate import Gate
from streetvision.miner.registering import RegistrationGuard, register
from streetvision.settings.settings import Settings

HEAD_S = GENESIS_MS / 1000


def chain_at(late_s: float, **config: bool) -> Chain:
    """A chain whose newest block is `late_s` old by our clock."""
    mock = MockChain(MockConfig(**config))  # type: ignore[arg-type]  # its flags
    return Chain("mock", 72, substrate_factory=lambda _: MockSubstrate(mock), now=lambda: HEAD_S + late_s)


def open_gate() -> Gate:
    gate = Gate()
    gate.closed = None
    return gate


@pytest.mark.parametrize(
    ("late_s", "closed"),
    [
        *((4.0, "deregistered"), (599.0, "deregistered"), (600.0, None)),
        *((-4.0, "deregistered"), (-599.0, "deregistered"), (-600.0, None), (-1e9, None)),
    ],
)
async def test_requests_are_refused_only_when_the_uid_is_surely_lost(late_s: float, closed: str | None) -> None:
    gate, published = open_gate(), list[str | None]()
    guard = RegistrationGuard(dev_wallet(), Settings(), gate, lambda: published.append(gate.closed))
    snapshot = await chain_at(late_s, miner_registered=False).snapshot()
    guard.on_snapshot(None, snapshot)
    assert gate.closed == closed
    guard.on_snapshot(None, replace(snapshot, block_time=None))
    assert gate.closed == "deregistered"
    guard.on_snapshot(None, await chain_at(late_s).snapshot())
    assert published == [None], "published again, and requests are admitted"


async def test_nobody_pays_for_a_registration_that_a_lagging_node_does_not_show() -> None:
    settings = Settings(register="burn", register_max_burn=1.0)
    with pytest.raises(OperatorError, match=r"node mock is 120 min old.*--subtensor.chain_endpoint"):
        await register(chain_at(7200.0, miner_registered=False), dev_wallet(), settings)
    with pytest.raises(OperatorError, match=r"node mock is 120 min ahead of this machine's clock"):
        await register(chain_at(-7200.0, miner_registered=False), dev_wallet(), settings)
    done = await register(chain_at(4.0, miner_registered=False), dev_wallet(), settings)
    assert done.method == "burn"


@pytest.mark.parametrize("told", [None, "soon", GENESIS_MS * 10**6, 10**400, -(10**30)], ids=lambda told: str(told)[:6])
async def test_a_node_whose_block_has_no_time(monkeypatch: pytest.MonkeyPatch, told: object) -> None:
    """It is read all the same, and nobody pays on its word."""
    chain = chain_at(4.0, miner_registered=False)
    answer = MockSubstrate.query

    async def query(self: MockSubstrate, pallet: str, item: str, *arguments: Any, **more: Any) -> Any:
        if (pallet, item) == ("Timestamp", "Now"):
            return told
        return await answer(self, pallet, item, *arguments, **more)

    monkeypatch.setattr(MockSubstrate, "query", query)
    snapshot = await chain.snapshot()
    assert (snapshot.block_time, snapshot.is_misdated) == (None, False)
    with pytest.raises(OperatorError, match="does not say when its newest block was made"):
        await register(chain, dev_wallet(), Settings(register="burn", register_max_burn=1.0))


def test_each_run_of_the_mock_is_another_chain(tmp_path: Path) -> None:
    settings = Settings(subtensor_network="mock", state_dir=tmp_path)
    first, second = (mock_network(settings, dev_wallet().ss58_address).mock.block_hash(1) for _ in range(2))
    assert first != second
