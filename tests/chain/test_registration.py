"""Registering through the real SDK on the mocked chain: what works, and each sentence when it does not."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from bittensor import RpcConnectionError
from bittensor.wallet import DEFAULT_WALLET_PATH

from streetvision.chain.client import Chain
from streetvision.chain.mock.chain import MockChain
from streetvision.chain.mock.config import RAO, MockConfig, dev_coldkey, dev_hotkey
from streetvision.chain.mock.state import SubnetState
from streetvision.chain.mock.steps import place
from streetvision.chain.mock.substrate import MockSubstrate
from streetvision.chain.registration import (
    REGISTRATION_FLAGS,
    register_burn,
    register_pow,
    registration_command,
    suggested_max_burn,
)
from streetvision.chain.wallets import MinerWallet, dev_wallet
from streetvision.errors import OperatorError
from streetvision.miner.from_settings import open_wallet
from streetvision.settings.loading import load_settings

UNREGISTERED = MockConfig(miner_registered=False, pow_difficulty=500)
MINER = dev_hotkey("Miner").ss58_address
COLDKEY = dev_coldkey("Miner").ss58_address


def chain_over(mock: MockChain) -> Chain:
    async def sleep(_: float) -> None:
        mock.advance()

    return Chain("mock", 72, substrate_factory=lambda _: MockSubstrate(mock), sleep=sleep)


def locked_wallet() -> MinerWallet:
    def refuse(_: object) -> object:
        raise AssertionError("the coldkey must not be touched")

    return replace(dev_wallet(), unlock=refuse)


async def test_burning_registers_and_charges_the_price() -> None:
    mock = MockChain(UNREGISTERED)
    free = mock.state.accounts[COLDKEY]
    done = await register_burn(chain_over(mock), dev_wallet(), 0.2)
    assert (done.hotkey, done.method, done.uid) == (MINER, "burn", 32)
    assert done.price_tao == pytest.approx(0.1)
    row = mock.state.rows[32]
    assert (row.hotkey, row.coldkey) == (MINER, COLDKEY)
    paid = free - mock.state.accounts[COLDKEY]
    assert 0.099 * RAO < paid < 0.101 * RAO
    assert mock.state.burn == pytest.approx(0.126 * RAO, rel=0.01)


async def test_a_price_above_the_maximum_is_refused_before_the_coldkey_is_touched() -> None:
    mock = MockChain(UNREGISTERED)
    with pytest.raises(OperatorError, match=r"costs 0\.1 TAO now, above the maximum of 0\.05 TAO: wait .* or raise"):
        await register_burn(chain_over(mock), locked_wallet(), 0.05)


async def test_the_chain_enforces_the_maximum_against_a_competitor_in_the_same_block() -> None:
    mock = MockChain(replace(UNREGISTERED, max_registrations_per_block=2))
    mock.seal()

    def competitor(state: SubnetState) -> SubnetState:
        raised = replace(state, burn_base=int(state.burn * 1.26), burn_block=state.block)
        return place(raised, dev_hotkey("Eve").ss58_address, dev_coldkey("Eve").ss58_address)

    mock.before_seal = competitor
    with pytest.raises(OperatorError, match=r"became more expensive in the block .* above the maximum of 0\.11 TAO"):
        await register_burn(chain_over(mock), dev_wallet(), 0.11)
    assert mock.state.find(MINER) is None
    assert mock.state.accounts[COLDKEY] > 99.99 * RAO


@pytest.mark.parametrize("maximum", [0.0, -1.0, float("nan"), float("inf")])
async def test_a_maximum_that_bounds_nothing_is_refused(maximum: float) -> None:
    with pytest.raises(OperatorError, match="positive number of TAO"):
        await register_burn(chain_over(MockChain(UNREGISTERED)), locked_wallet(), maximum)


async def test_too_little_money() -> None:
    mock = MockChain(replace(UNREGISTERED, funds_tao=0.05))
    with pytest.raises(OperatorError, match=rf"Coldkey {COLDKEY} holds 0\.05 TAO .* costs 0\.1 TAO and fees: fund it"):
        await register_burn(chain_over(mock), dev_wallet(), 1.0)


async def test_money_for_the_price_but_not_for_the_fees() -> None:
    mock = MockChain(replace(UNREGISTERED, funds_tao=0.1))
    with pytest.raises(OperatorError, match="cannot pay for the registration and its fees: fund it first"):
        await register_burn(chain_over(mock), dev_wallet(), 1.0)


@pytest.mark.parametrize("method", ["burn", "pow"])
async def test_registration_switched_off(method: str) -> None:
    chain = chain_over(MockChain(replace(UNREGISTERED, registration_allowed=False, pow_allowed=True)))
    with pytest.raises(OperatorError, match="switched off on subnet 72"):
        if method == "burn":
            await register_burn(chain, locked_wallet(), 1.0)
        else:
            await register_pow(chain, locked_wallet())


async def test_registration_switched_off_in_between() -> None:
    mock = MockChain(UNREGISTERED)
    mock.before_seal = lambda state: replace(state, config=replace(state.config, registration_allowed=False))
    with pytest.raises(OperatorError, match="switched off on subnet 72"):
        await register_burn(chain_over(mock), dev_wallet(), 1.0)


async def test_already_registered() -> None:
    with pytest.raises(OperatorError, match=rf"Hotkey {MINER} is already registered .* as UID 4: start the miner"):
        await register_burn(chain_over(MockChain()), locked_wallet(), 1.0)


async def test_a_hotkey_of_another_coldkey() -> None:
    mock = MockChain()
    mock.deregister(MINER)
    wallet = replace(dev_wallet(), unlock=lambda _: dev_coldkey("Eve"))
    with pytest.raises(OperatorError, match="belongs to another coldkey"):
        await register_burn(chain_over(mock), wallet, 1.0)


async def test_a_block_that_is_full_of_registrations() -> None:
    mock = MockChain(UNREGISTERED)
    mock.before_seal = lambda state: replace(state, registrations_this_block=1)
    with pytest.raises(OperatorError, match="run the same command again"):
        await register_burn(chain_over(mock), dev_wallet(), 1.0)


class Forgetful(MockSubstrate):
    """A node that takes an extrinsic and then never says what became of it."""

    def __init__(self, chain: MockChain, loses: bool) -> None:
        super().__init__(chain)
        self.loses = loses

    async def submit(self, *args: Any, **kwargs: Any) -> NoReturn:
        if not self.loses:
            await super().submit(*args, **kwargs)
        raise RpcConnectionError("connection reset")


async def test_a_lost_answer_to_a_registration_that_went_through() -> None:
    mock = MockChain(UNREGISTERED)
    chain = Chain("mock", 72, substrate_factory=lambda _: Forgetful(mock, loses=False))
    assert (await register_burn(chain, dev_wallet(), 1.0)).uid == 32


async def test_a_lost_registration_says_what_is_known() -> None:
    chain = Chain("mock", 72, substrate_factory=lambda _: Forgetful(MockChain(UNREGISTERED), loses=True))
    with pytest.raises(
        OperatorError, match="connection was lost while registering and the hotkey is not registered yet"
    ):
        await register_burn(chain, dev_wallet(), 1.0)


async def test_an_operators_own_key_registers_once_it_is_funded() -> None:
    mock = MockChain(UNREGISTERED)
    hotkey, coldkey = dev_hotkey("Somebody"), dev_coldkey("Somebody")
    wallet = MinerWallet("w", "h", "", hotkey, lambda _: coldkey)
    with pytest.raises(OperatorError, match="holds 0 TAO"):
        await register_burn(chain_over(mock), wallet, 1.0)
    mock.fund(coldkey.ss58_address, 2.0)
    assert (await register_burn(chain_over(mock), wallet, 1.0)).uid == 32


async def test_proof_of_work_registers_without_paying() -> None:
    mock = MockChain(replace(UNREGISTERED, pow_allowed=True))
    done = await register_pow(chain_over(mock), dev_wallet(), workers=1, max_seconds=30)
    assert (done.uid, done.method) == (32, "pow")
    assert mock.state.accounts[COLDKEY] == 100 * RAO


async def test_proof_of_work_not_allowed() -> None:
    with pytest.raises(OperatorError, match=r"takes no proof of work: register with --register burn"):
        await register_pow(chain_over(MockChain(UNREGISTERED)), locked_wallet())


async def test_proof_of_work_that_is_not_found_in_time() -> None:
    mock = MockChain(replace(UNREGISTERED, pow_allowed=True, pow_difficulty=2**62))
    with pytest.raises(OperatorError, match=r"No proof of work was found within 0\.05 s"):
        await register_pow(chain_over(mock), dev_wallet(), workers=1, max_seconds=0.05)


async def test_a_proof_that_came_too_late_is_mined_again() -> None:
    mock = MockChain(replace(UNREGISTERED, pow_allowed=True))
    late = mock.state.block + 100
    mock.before_seal = lambda state: replace(state, block=late)
    done = await register_pow(chain_over(mock), dev_wallet(), workers=1, max_seconds=30)
    assert done.uid == 32
    assert mock.state.rows[32].registered_at > late


@pytest.mark.parametrize("damage", ["stale", "seal", "reuse", "difficulty"])
async def test_the_mocked_chain_checks_proofs(damage: str) -> None:
    mock = MockChain(replace(UNREGISTERED, pow_allowed=True))
    chain = chain_over(mock)
    intent = await chain.mine_pow(MINER, COLDKEY, workers=1, max_seconds=30)
    wallet = dev_wallet()
    keys = type(
        "Keys", (), {"coldkey": dev_coldkey("Miner"), "coldkeypub": dev_coldkey("Miner"), "hotkey": wallet.hotkey}
    )
    expected = {"stale": "InvalidWorkBlock", "seal": "InvalidSeal", "reuse": "InvalidWorkBlock"}.get(damage)
    if damage == "stale":
        mock.advance(6)
    elif damage == "seal":
        intent = replace(intent, nonce=intent.nonce ^ 1)
    elif damage == "difficulty":
        mock.reconfigure(pow_difficulty=2**200)
        expected = "InvalidDifficulty"
    else:
        assert (await chain.submit(intent, keys())).success
        mock.deregister(MINER)
    result = await chain.submit(intent, keys())
    assert result.error is not None
    assert result.error.name == expected


def somebodys(path: str = DEFAULT_WALLET_PATH) -> MinerWallet:
    return MinerWallet("my wallet", "hot", path, dev_hotkey("Somebody"), lambda _: dev_coldkey("Somebody"))


def test_the_command_is_exact_and_quoted() -> None:
    command = registration_command(72, somebodys(), "finney", max_burn_tao=0.25)
    assert command == (
        "python neurons/miner.py --netuid 72 --wallet.name 'my wallet' --wallet.hotkey hot "
        "--subtensor.network finney --register burn --register.max_burn 0.25"
    )


def test_the_command_names_the_wallets_folder_and_every_endpoint() -> None:
    endpoints = ("ws://10.0.0.1:9944", "wss://b.example:443")
    extra = ["--model", "/models/my best", "--axon.port=8091"]
    command = registration_command(
        72, somebodys("/keys of mine"), "finney", endpoints=endpoints, max_burn_tao=0.25, extra=extra
    )
    assert command == (
        "python neurons/miner.py --netuid 72 --wallet.name 'my wallet' --wallet.hotkey hot "
        "--wallet.path '/keys of mine' --subtensor.chain_endpoint ws://10.0.0.1:9944,wss://b.example:443 "
        "--register burn --register.max_burn 0.25 --model '/models/my best' --axon.port=8091"
    )


def test_the_default_folder_of_wallets_goes_unnamed_however_it_is_written() -> None:
    assert "--wallet.path" not in registration_command(72, somebodys("~/.bittensor/wallets"), "finney")


@pytest.mark.parametrize("price", [0.0, 0.1])
async def test_the_command_for_the_development_key_works(price: float, tmp_path: Path) -> None:
    command = registration_command(72, dev_wallet(), "mock", max_burn_tao=suggested_max_burn(price))
    assert command.startswith(
        "python neurons/miner.py --netuid 72 --subtensor.network mock --mock.registered false --register burn "
    )
    settings = load_settings(shlex.split(command)[2:], {}, cwd=tmp_path, warn=pytest.fail)
    wallet, mock = open_wallet(settings), MockChain(MockConfig(miner_registered=settings.mock.registered))
    assert wallet.ss58_address == MINER
    mock.reconfigure(min_burn_tao=price / 2)
    mock.amend(lambda state: replace(state, burn_base=int(price * RAO), burn_block=state.block))
    assert (await register_burn(chain_over(mock), wallet, settings.register.max_burn)).uid == 32


def test_the_command_sets_the_flags_that_it_says() -> None:
    commands = [
        registration_command(72, somebodys("/keys"), "finney", endpoints=["ws://a"]),
        registration_command(72, dev_wallet(), "mock"),
    ]
    words = {word for command in commands for word in shlex.split(command) if word.startswith("--")}
    assert words == REGISTRATION_FLAGS


def test_the_suggested_maximum_survives_two_competitors() -> None:
    assert suggested_max_burn(0.1) >= 0.1 * 1.26**2
    assert suggested_max_burn(0.0) == 0.001
    assert re.fullmatch(r"\d+\.\d{1,3}", str(suggested_max_burn(0.1)))
