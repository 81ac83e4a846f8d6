"""What the settings mean for each room: which checkpoint, wallet, chain and limits."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable

from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.axon.config import MIB, AxonConfig
from streetvision.axon.sockets import listen
from streetvision.chain.mock_config import MockConfig
from streetvision.chain.mock_network import MockNetwork
from streetvision.chain.wallets import MinerWallet, NoHotkeyFile, dev_wallet, load_wallet
from streetvision.chain.watcher import WatchPolicy
from streetvision.config import Settings
from streetvision.control.server import NAME, SOCKET_NAME
from streetvision.endpoint import external_endpoint
from streetvision.engine.wishes import resolve_device
from streetvision.prediction_log.schema import LOG_FOLDER
from streetvision.prediction_log.store import PredictionLog
from streetvision.prediction_log.upkeep import Limits
from streetvision.state_folder import make_state_folder
from streetvision.unix_socket import check_length

NONCE_MINUTES = 3
"""A nonce is remembered for up to two windows of 66 s."""

GIB = 2**30
MOCK_SOCKET = "mock.sock"
"""Name of the mocked chain's socket in the state folder."""


def check_before_paying(settings: Settings) -> None:
    """Check everything that can be checked cheaply, the chosen model apart (model_choice.py).

    A registration costs TAO: a mistyped device, address or port must be found before it.
    """
    resolve_device(settings.device)
    external_endpoint(settings, settings.axon_port)
    check_length(settings.state_dir / SOCKET_NAME, NAME)
    hosts = (settings.axon_ip,) if settings.axon_ip else AxonConfig.hosts
    for bound in listen(hosts, settings.axon_port):
        bound.close()


def open_wallet(settings: Settings) -> MinerWallet:
    """The hotkey to serve with; the development key //Miner on the mock network when no wallet is named."""
    if settings.is_mock and not settings.wallet_name and not settings.wallet_hotkey:
        return dev_wallet("Miner")
    return load_wallet(
        settings.wallet_name or "default", settings.wallet_hotkey or "default", str(settings.wallet_path)
    )


def serving_wallet(settings: Settings) -> MinerWallet:
    """The hotkey to serve with; on the mock network //Miner if the named one is not here: a rehearsal needs no file."""
    try:
        return open_wallet(settings)
    except NoHotkeyFile as error:
        if not settings.is_mock:
            raise
        named = f"{settings.wallet_name or 'default'}/{settings.wallet_hotkey or 'default'}"
        logger.warning("wallet {} has no hotkey here: //Miner serves in its place on the mock network", named)
        logger.debug("{}", error)
        return dev_wallet("Miner")


def mock_network(settings: Settings, hotkey: str) -> MockNetwork:
    """The in-memory chain, open to this user's other processes through a socket in the state folder.

    `hotkey` is the address that holds the miner's UID from the start, unless a setting says otherwise.
    """
    make_state_folder(settings.state_dir)
    config = MockConfig(
        netuid=settings.netuid,
        block_time_s=settings.mock_block_time,
        tempo=settings.mock_tempo,
        miner_registered=settings.mock_registered,
        miner_hotkey=hotkey,
    )
    return MockNetwork(config, settings.state_dir / MOCK_SOCKET)


def axon_config(settings: Settings, hotkey: str) -> AxonConfig:
    """The axon's part of the settings. The table of seen nonces must hold all that the quota admits meanwhile."""
    nonces = NONCE_MINUTES * settings.axon_requests_per_minute
    return AxonConfig(
        hotkey=hotkey,
        hosts=(settings.axon_ip,) if settings.axon_ip else AxonConfig.hosts,
        port=settings.axon_port,
        force_validator_permit=settings.blacklist_force_validator_permit,
        allow_non_registered=settings.blacklist_allow_non_registered,
        min_stake=settings.blacklist_min_stake,
        quota_per_minute=settings.axon_requests_per_minute,
        nonces_per_hotkey=max(AxonConfig.nonces_per_hotkey, nonces),
        nonces_total=max(AxonConfig.nonces_total, 8 * nonces),
        max_body_bytes=settings.axon_max_body_mib * MIB,
        deadline_margin_s=settings.axon_deadline_margin,
    )


def prediction_log(settings: Settings, registry: CollectorRegistry) -> PredictionLog | None:
    """The log of every challenge in the state folder; None when it is switched off."""
    if not settings.log_enabled:
        return None
    limits = Limits(int(settings.log_max_gib * GIB), settings.log_max_days)
    return PredictionLog(settings.state_dir / LOG_FOLDER, registry, limits=limits)


def watch_policy(settings: Settings) -> WatchPolicy:
    """Look often enough for the network's pace: the mocked chain may be faster than 12 s a block."""
    if not settings.is_mock:
        return WatchPolicy()
    block = settings.mock_block_time
    return WatchPolicy(poll_s=min(6.0, block), every_blocks=1, min_interval_s=min(5.0, block))


def password_prompt() -> Callable[[str], str] | None:
    """Ask on the terminal; None without one, so that a service never waits for a typed password."""
    return getpass.getpass if sys.stdin.isatty() else None
