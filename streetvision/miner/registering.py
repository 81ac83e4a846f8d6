"""The hotkey's registration: done as the settings ask for it, else with the command to type; and when it is lost."""

from __future__ import annotations

from collections.abc import Callable

from loguru import logger

from streetvision.chain.client import Chain
from streetvision.chain.metagraph import MetagraphSnapshot
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
from streetvision.miner.gate import Gate
from streetvision.settings.flags import flags_of
from streetvision.settings.settings import Settings

SAID_BY_REGISTRATION_COMMAND = (
    *("netuid", "wallet_name", "wallet_hotkey", "wallet_path", "subtensor_network", "subtensor_chain_endpoint"),
    *("mock_registered", "register", "register_max_burn"),
)


async def register(chain: Chain, wallet: MinerWallet, settings: Settings) -> Registration:
    """Register the hotkey; OperatorError when that cannot be, or with the command to type when it is not asked for."""
    if not settings.is_mock:  # the mocked chain has a time of its own
        await chain.require_fresh()
    price = await chain.registration_price()
    if settings.register == "burn":
        done = await register_burn(chain, wallet, settings.register_max_burn, prompt=password_prompt())
    elif settings.register == "pow":
        done = await register_pow(chain, wallet, prompt=password_prompt(), max_seconds=settings.register_pow_seconds)
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
        settings.subtensor_network,
        endpoints=settings.endpoints,
        max_burn_tao=suggested_max_burn(price),
        extra=flags_of(settings, without=SAID_BY_REGISTRATION_COMMAND),
    )


def command_again(wallet: MinerWallet, settings: Settings, snapshot: MetagraphSnapshot | None) -> str:
    """The command that gives this hotkey a UID again, at the price of the newest snapshot."""
    price = None if snapshot is None else snapshot.registration_price
    return command_for(wallet, settings, price or 0.0)


class RegistrationGuard:
    """Listens to the watcher: closes the gate when the hotkey loses its UID, and opens it when it has one again."""

    def __init__(self, wallet: MinerWallet, settings: Settings, gate: Gate, publish_again: Callable[[], None]) -> None:
        self._wallet, self._settings, self._gate, self._publish_again = wallet, settings, gate, publish_again

    def on_snapshot(self, _old: MetagraphSnapshot | None, new: MetagraphSnapshot) -> None:
        """Look for the own UID; a snapshot of a node that lags proves no absence."""
        own = new.find(self._wallet.ss58_address)
        if own is None:
            if self._settings.is_mock or not new.is_misdated:  # the mocked chain has a time of its own
                self._close(new)
        elif self._gate.closed == "deregistered":
            self._gate.closed = None
            self._publish_again()
            logger.success("registered again as UID {}: admitting requests", own.uid)

    def _close(self, snapshot: MetagraphSnapshot) -> None:
        if self._gate.closed is None:
            self._gate.closed = "deregistered"
            logger.error(
                "hotkey {} lost its UID on netuid {}: requests are refused until it is registered again. "
                "Register with: {}",
                self._wallet.ss58_address,
                self._settings.netuid,
                command_again(self._wallet, self._settings, snapshot),
            )
