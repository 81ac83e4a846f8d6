"""What `streetvision challenge` sends is what the axon takes, in both dialects, and its refusals are understood."""

from __future__ import annotations

import asyncio

import pytest
from bittensor.sp_core import Keypair

from streetvision.challenge.exchange import Outcome, Protocol, Target, send
from streetvision.challenge.meaning import meaning_of

from . import conftest as kit
from .conftest import Axon


async def ask(axon: Axon, signer: Keypair, receiver: Keypair, protocol: Protocol = Protocol.LEGACY) -> Outcome:
    target = Target("127.0.0.1", axon.port, receiver.ss58_address)
    return await asyncio.to_thread(send, target, signer, b"image", protocol=protocol)


@pytest.mark.parametrize("protocol", Protocol)
async def test_a_validators_challenge_is_answered(axon: Axon, protocol: Protocol) -> None:
    outcome = await ask(axon, kit.BOB, kit.MINER, protocol)
    assert (outcome.status, outcome.probability, outcome.message) == (200, 0.75, "")
    assert outcome.seconds > 0
    assert meaning_of(outcome) == ""
    assert axon.predictor.images == [b"image"]


@pytest.mark.parametrize("protocol", Protocol)
async def test_a_strangers_refusal_is_good_news(axon: Axon, protocol: Protocol) -> None:
    for stranger, why in ((kit.EVE, "not registered"), (kit.DAVE, "no validator permit")):
        outcome = await ask(axon, stranger, kit.MINER, protocol)
        assert (outcome.status, outcome.probability) == (403, None)
        assert "reachable" in meaning_of(outcome)
        assert "good news" in meaning_of(outcome)
        assert why in meaning_of(outcome)


async def test_a_challenge_for_another_miner_is_told_apart(axon: Axon) -> None:
    outcome = await ask(axon, kit.BOB, kit.DAVE)
    assert outcome.status == 401
    assert "--hotkey" in meaning_of(outcome)
