"""Registering the hotkey on the subnet, by burning TAO or by proof of work, through the SDK's intents.

What bounds the price: the SDK's `BurnedRegister` pays whatever the price is when its block is made, and a spending
policy of the SDK can only refuse it altogether. So the intent used here composes the chain's `register_limit` instead
of `burned_register`: the chain itself refuses the call when the price in that block is above the maximum. The
transaction fees (for the call and its encrypted carrier) come on top, also for a refused call. Everything else is the
SDK's own way: the call is signed by the coldkey and submitted encrypted (MEV shield), as `BurnedRegister` demands.
"""

from __future__ import annotations

import asyncio
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bittensor import Balance, ExtrinsicResult
from bittensor import calls as generated_calls
from bittensor.intents.registration import BurnedRegister
from bittensor.wallet import DEFAULT_WALLET_PATH

from streetvision.chain.client import RAO, Chain
from streetvision.chain.connection import ChainAwayError
from streetvision.chain.endpoints import MOCK_NETWORK
from streetvision.chain.wallets import MinerWallet, PasswordPrompt
from streetvision.errors import OperatorError
from streetvision.settings.upkeep import RegisterSettings

REGISTRATION_FLAGS = frozenset(
    {
        "--netuid",
        "--wallet.name",
        "--wallet.hotkey",
        "--wallet.path",
        "--subtensor.network",
        "--subtensor.chain_endpoint",
        "--mock.registered",
        "--register",
        "--register.max_burn",
    }
)
"""What `registration_command` decides itself."""

POW_ATTEMPTS = 3
"""Proofs to mine when one comes too late or another registration takes its block."""

_TRY_ANOTHER_PROOF = frozenset(
    {"InvalidWorkBlock", "InvalidSeal", "InvalidDifficulty", "TooManyRegistrationsThisBlock"}
)


@dataclass(frozen=True)
class Registration:
    """A hotkey that is registered now."""

    uid: int
    hotkey: str
    method: Literal["burn", "pow"]
    price_tao: float
    """The price read just before; the chain charged at most the maximum."""


@dataclass
class CappedRegister(BurnedRegister):
    """`BurnedRegister` with a maximum that the chain enforces."""

    wraps = (("SubtensorModule", "register_limit"),)

    limit_rao: int = 0

    async def build(self, substrate: Any, wallet: Any) -> Any:  # noqa: ANN401 - the SDK's own signature
        """Compose `register_limit`."""
        hotkey = self.hotkey_address(wallet, self.hotkey_ss58)
        call = generated_calls.SubtensorModule.register_limit(
            netuid=self.netuid, hotkey=hotkey, limit_price=self.limit_rao
        )
        return await substrate.compose(call)

    def spend(self) -> Balance:
        """The maximum: unlike its parent's, this intent's spending is bounded."""
        return Balance.from_rao(self.limit_rao)


@dataclass(frozen=True)
class _Keys:
    """The shape in which the SDK takes unlocked keys."""

    coldkey: Any
    hotkey: Any

    @property
    def coldkeypub(self) -> Any:  # noqa: ANN401 - a keypair
        return self.coldkey


async def register_burn(
    chain: Chain, wallet: MinerWallet, max_burn_tao: float, *, prompt: PasswordPrompt | None = None
) -> Registration:
    """Register by burning at most `max_burn_tao` TAO; OperatorError with one sentence when that cannot be."""
    if not (math.isfinite(max_burn_tao) and max_burn_tao > 0):
        raise OperatorError(f"The maximum burn must be a positive number of TAO, not {max_burn_tao}.")
    await _check_open(chain, wallet)
    price = await chain.registration_price()
    if price > max_burn_tao:
        raise OperatorError(_too_expensive(chain, f"costs {_tao(price)} TAO now", max_burn_tao))
    coldkey = await asyncio.to_thread(wallet.unlock_coldkey, prompt)
    free = await chain.free_tao(coldkey.ss58_address)
    if free < price:
        raise OperatorError(_no_funds(coldkey.ss58_address, free, price))
    intent = CappedRegister(netuid=chain.netuid, hotkey_ss58=wallet.ss58_address, limit_rao=round(max_burn_tao * RAO))
    result = await _submit(chain, intent, _Keys(coldkey, wallet.hotkey), wallet)
    if result is not None and not result.success:
        if _name(result) == "RegistrationPriceLimitExceeded":
            raise OperatorError(_too_expensive(chain, "became more expensive in the block that decided", max_burn_tao))
        raise OperatorError(_refusal(chain, wallet, result, coldkey.ss58_address))
    return Registration(await _uid(chain, wallet), wallet.ss58_address, "burn", price)


async def register_pow(
    chain: Chain,
    wallet: MinerWallet,
    *,
    prompt: PasswordPrompt | None = None,
    workers: int = 2,
    max_seconds: float = RegisterSettings.pow_seconds,
) -> Registration:
    """Register by proof of work, where the subnet's owner allows it; OperatorError with one sentence otherwise.

    Mining runs on `workers` threads (or a GPU that the SDK finds) for at most `max_seconds` per proof.
    """
    await _check_open(chain, wallet)
    if not await chain.query("NetworkPowRegistrationAllowed", chain.netuid):
        raise OperatorError(
            f"Subnet {chain.netuid} takes no proof of work: register with --register burn --register.max_burn TAO."
        )
    coldkey = await asyncio.to_thread(wallet.unlock_coldkey, prompt)
    attempts = POW_ATTEMPTS
    while True:
        intent = await _mine(chain, wallet, coldkey.ss58_address, workers, max_seconds)
        result = await _submit(chain, intent, _Keys(coldkey, wallet.hotkey), wallet)
        if result is None or result.success:
            return Registration(await _uid(chain, wallet), wallet.ss58_address, "pow", 0.0)
        attempts -= 1
        if _name(result) not in _TRY_ANOTHER_PROOF or not attempts:
            raise OperatorError(_refusal(chain, wallet, result, coldkey.ss58_address))


def registration_command(
    netuid: int,
    wallet: MinerWallet,
    network: str,
    *,
    endpoints: Sequence[str] = (),
    max_burn_tao: float = 1.0,
    extra: Sequence[str] = (),
) -> str:
    """The exact shell command that registers this hotkey at the start of the miner.

    `endpoints`, as the operator named them, stand in for `network`. `extra` are further arguments, appended as they
    are: they must not repeat `REGISTRATION_FLAGS`, of which they would win.
    """
    words = ["--netuid", str(netuid), *_wallet_words(wallet)]
    words += ["--subtensor.chain_endpoint", ",".join(endpoints)] if endpoints else ["--subtensor.network", network]
    if network == MOCK_NETWORK:
        words += ["--mock.registered", "false"]
    words += ["--register", "burn", "--register.max_burn", _tao(max_burn_tao)]
    return shlex.join(["python", "neurons/miner.py", *words, *extra])


def _wallet_words(wallet: MinerWallet) -> list[str]:
    """The flags that lead to this wallet; none for the development key, which is used where no wallet is named."""
    if wallet.is_development:
        return []
    words = ["--wallet.name", wallet.name, "--wallet.hotkey", wallet.hotkey_name]
    elsewhere = Path(wallet.path).expanduser() != Path(DEFAULT_WALLET_PATH)
    return [*words, "--wallet.path", wallet.path] if elsewhere else words


def suggested_max_burn(price_tao: float) -> float:
    """A maximum above 0 with room for two competitors in the same block (1.26 each), rounded up to 0.001 TAO."""
    return max(1, math.ceil(price_tao * 1.26**2 * 1000)) / 1000


async def _check_open(chain: Chain, wallet: MinerWallet) -> None:
    uid = await chain.uid_of(wallet.ss58_address)
    if uid is not None:
        raise OperatorError(
            f"Hotkey {wallet.ss58_address} is already registered on subnet {chain.netuid} as UID {uid}: "
            "start the miner without --register."
        )
    if not await chain.query("NetworkRegistrationAllowed", chain.netuid):
        raise OperatorError(_closed(chain))


async def _mine(chain: Chain, wallet: MinerWallet, coldkey: str, workers: int, max_seconds: float) -> Any:  # noqa: ANN401
    try:
        return await chain.mine_pow(wallet.ss58_address, coldkey, workers=workers, max_seconds=max_seconds)
    except TimeoutError as error:
        raise OperatorError(
            f"No proof of work was found within {max_seconds:g} s: use a GPU, allow more time, or register with "
            "--register burn --register.max_burn TAO."
        ) from error
    except (ValueError, RuntimeError) as error:
        raise OperatorError(f"Proof of work cannot be mined: {str(error).rstrip('.')}.") from error


async def _submit(chain: Chain, intent: Any, keys: _Keys, wallet: MinerWallet) -> ExtrinsicResult | None:  # noqa: ANN401
    """The chain's answer, or None when the answer was lost but the hotkey turns out to be registered."""
    try:
        return await chain.submit(intent, keys)
    except ChainAwayError as error:
        if await chain.uid_of(wallet.ss58_address) is not None:
            return None
        raise OperatorError(
            "The connection was lost while registering and the hotkey is not registered yet: "
            "wait two minutes, start the miner again, and it will see whether the registration went through."
        ) from error


async def _uid(chain: Chain, wallet: MinerWallet) -> int:
    for _ in range(5):
        uid = await chain.uid_of(wallet.ss58_address)
        if uid is not None:
            return uid
        await chain.sleep(await chain.block_time())
    raise OperatorError(
        f"The chain accepted the registration of {wallet.ss58_address} but shows no UID yet: start the miner again."
    )


def _tao(amount: float) -> str:
    return f"{amount:.9f}".rstrip("0").rstrip(".")


def _too_expensive(chain: Chain, how: str, maximum: float) -> str:
    return (
        f"Registering on subnet {chain.netuid} {how}, above the maximum of {_tao(maximum)} TAO: "
        "wait for the price to fall or raise --register.max_burn."
    )


def _no_funds(coldkey: str, free: float, price: float) -> str:
    return f"Coldkey {coldkey} holds {_tao(free)} TAO and registering costs {_tao(price)} TAO and fees: fund it first."


def _closed(chain: Chain) -> str:
    return f"Registration is switched off on subnet {chain.netuid} by its owner: try again when it is open."


def _name(result: ExtrinsicResult) -> str | None:
    return result.error.name if result.error else None


def _refusal(chain: Chain, wallet: MinerWallet, result: ExtrinsicResult, coldkey: str) -> str:
    """One sentence for a registration that the chain refused."""
    name = _name(result)
    funds = f"Coldkey {coldkey} cannot pay for the registration and its fees: fund it first."
    busy = f"Another registration took this block's place on subnet {chain.netuid}: run the same command again."
    sentences = {
        "NotEnoughBalanceToStake": funds,
        "InsufficientBalance": funds,
        "InsufficientTaoBalance": funds,
        "FundsUnavailable": funds,
        "Payment": funds,
        "SubNetRegistrationDisabled": _closed(chain),
        "TooManyRegistrationsThisBlock": busy,
        "TooManyRegistrationsThisInterval": busy,
        "HotKeyAlreadyRegisteredInSubNet": f"Hotkey {wallet.ss58_address} is already registered: start the miner "
        "without --register.",
        "NonAssociatedColdKey": f"Hotkey {wallet.ss58_address} belongs to another coldkey than {coldkey}: "
        "use the wallet that owns it, or a new hotkey.",
        "NoNeuronIdAvailable": f"Subnet {chain.netuid} has no UID to give, all are immune: try again later.",
    }
    hint = f"; {result.error.remediation}" if result.error else ""
    default = f"The chain refused the registration ({name or 'no name'}: {result.message.rstrip('.')}){hint}."
    return sentences.get(name or "", default)
