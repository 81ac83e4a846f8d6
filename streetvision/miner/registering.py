"""The hotkey's registration as the settings ask for it, and the command to type where they do not."""

from __future__ import annotations

from loguru import logger

from streetvision.chain.client import Chain
from streetvision.chain.registration import (
    Registration,
    register_burn,
    register_pow,
    registration_command,
    suggested_max_burn,
)
from streetvision.chain.wallets import MinerWallet
from streetvision.errors import OperatorError
from streetvision.miner.from_settings import password_prompt
from streetvision.settings.flags import flags_of
from streetvision.settings.settings import Settings

SAID_BY_REGISTRATION_COMMAND = (
    *("netuid", "wallet.name", "wallet.hotkey", "wallet.path", "subtensor.network", "subtensor.chain_endpoint"),
    *("mock.registered", "register", "register.max_burn"),
)


async def register(chain: Chain, wallet: MinerWallet, settings: Settings) -> Registration:
    """Register the hotkey; OperatorError when that cannot be, or with the command to type when it is not asked for."""
    if not settings.is_mock:  # the mocked chain has a time of its own
        await chain.require_fresh()
    price = await chain.registration_price()
    if settings.register.choice == "burn":
        done = await register_burn(chain, wallet, settings.register.max_burn, prompt=password_prompt())
    elif settings.register.choice == "pow":
        done = await register_pow(chain, wallet, prompt=password_prompt(), max_seconds=settings.register.pow_seconds)
    else:
        raise OperatorError(
            f"hotkey {wallet.ss58_address} is not registered on netuid {settings.netuid}; registering costs "
            f"{price:.4f} TAO now. Register with: {command_for(wallet, settings, price)}"
        )
    logger.success("registered {} as UID {} ({})", done.hotkey, done.uid, done.method)
    return done


def command_for(wallet: MinerWallet, settings: Settings, price: float) -> str:
    """The command that registers this hotkey and mines with these settings, at a price in TAO."""
    return registration_command(
        settings.netuid,
        wallet,
        settings.subtensor.network,
        endpoints=settings.subtensor.endpoints,
        max_burn_tao=suggested_max_burn(price),
        extra=flags_of(settings, without=SAID_BY_REGISTRATION_COMMAND),
    )
