"""What the settings mean for each part of the miner: which checkpoint, wallet, chain and limits."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from uuid import uuid4

from loguru import logger
from prometheus_client import CollectorRegistry

from streetvision.axon.config import AxonConfig
from streetvision.base.state_folder import MOCK_SOCKET, make_state_folder
from streetvision.base.steady_clock import Clock
from streetvision.chain.hotkey_file import NoHotkeyFile
from streetvision.chain.hotkey_password import hotkey_password
from streetvision.chain.mock.config import MockConfig
from streetvision.chain.mock.network import MockNetwork
from streetvision.chain.wallets import MinerWallet, dev_wallet, load_wallet
from streetvision.chain.watcher import WatchPolicy
from streetvision.cluster.from_settings import ray_transport
from streetvision.control.client import SOCKET_NAME
from streetvision.control.server import NAME
from streetvision.engine.decode import DecodeLimits
from streetvision.engine.remote_policy import RemotePolicy
from streetvision.engine.transport import Transport
from streetvision.miner.endpoint import external_endpoint
from streetvision.net.limits import MIB
from streetvision.net.sockets import listen
from streetvision.net.unix_socket import check_length
from streetvision.prediction_log.schema import LOG_FOLDER
from streetvision.prediction_log.store import PredictionLog
from streetvision.prediction_log.upkeep import GIB, Limits
from streetvision.runner.devices import device_kind
from streetvision.serverless.transport import open_modal
from streetvision.settings.settings import Settings
from streetvision.settings.upkeep import LogSettings

NONCE_MINUTES = 3
"""A nonce is remembered for up to two windows of 66 s."""


def check_before_paying(settings: Settings) -> None:
    """Check everything that can be checked cheaply, the chosen model apart (model_choice.py).

    A registration costs TAO: a mistyped device, address or port must be found before it.
    """
    device_kind(settings.device)
    external_endpoint(settings, settings.axon.port)
    check_length(settings.state_dir / SOCKET_NAME, NAME)
    for bound in listen(settings.axon.hosts, settings.axon.port):
        bound.close()


def open_wallet(settings: Settings) -> MinerWallet:
    """The hotkey to serve with; the development key //Miner on the mock network when no wallet is named.

    Blocks the process for seconds when the hotkey is encrypted; its password leaves this process's environment.
    """
    password = hotkey_password(settings.wallet.hotkey_password_file, os.environ)
    if settings.is_mock and not settings.wallet.name and not settings.wallet.hotkey:
        return dev_wallet("Miner")
    return load_wallet(*settings.wallet.names, str(settings.wallet.path), password)


def serving_wallet(settings: Settings) -> MinerWallet:
    """The hotkey to serve with; on the mock network //Miner if the named one is not here: a rehearsal needs no file."""
    try:
        return open_wallet(settings)
    except NoHotkeyFile as error:
        if not settings.is_mock:
            raise
        named = "/".join(settings.wallet.names)
        logger.warning("wallet {} has no hotkey here: //Miner serves in its place on the mock network", named)
        logger.debug("{}", error)
        return dev_wallet("Miner")


def mock_network(settings: Settings, hotkey: str) -> MockNetwork:
    """The in-memory chain, open to this user's other processes through a socket in the state folder.

    `hotkey` is the address that holds the miner's UID from the start, unless a setting says otherwise.
    """
    make_state_folder(settings.state_dir)
    return MockNetwork(mock_config(settings, hotkey), settings.state_dir / MOCK_SOCKET, run=uuid4().hex)


def mock_config(settings: Settings, hotkey: str) -> MockConfig:
    """The simulated subnet; `hotkey` is the miner's address."""
    return MockConfig(
        netuid=settings.netuid,
        block_time_s=settings.mock.block_time,
        tempo=settings.mock.tempo,
        miner_registered=settings.mock.registered,
        miner_hotkey=hotkey,
    )


def axon_config(settings: Settings, hotkey: str) -> AxonConfig:
    """The axon's part of the settings.

    The table of seen nonces must hold all that the quota admits meanwhile, and memory the largest body.
    """
    nonces = NONCE_MINUTES * settings.axon.requests_per_minute
    largest = settings.axon.max_body_mib * MIB
    return AxonConfig(
        hotkey=hotkey,
        hosts=settings.axon.hosts,
        port=settings.axon.port,
        force_validator_permit=settings.blacklist.force_validator_permit,
        allow_non_registered=settings.blacklist.allow_non_registered,
        min_stake=settings.blacklist.min_stake,
        quota_per_minute=settings.axon.requests_per_minute,
        nonces_per_hotkey=max(AxonConfig.nonces_per_hotkey, nonces),
        nonces_total=max(AxonConfig.nonces_total, 8 * nonces),
        max_body_bytes=largest,
        verified_body_budget=max(AxonConfig.verified_body_budget, 2 * largest),
        unverified_body_budget=max(AxonConfig.unverified_body_budget, largest),
        deadline_margin_s=settings.axon.deadline_margin,
    )


def decode_limits(settings: Settings) -> DecodeLimits:
    """What a photo may cost; its file has no limit of its own, since it is smaller than the body that it comes in."""
    return DecodeLimits(
        max_bytes=settings.axon.max_body_mib * MIB,
        max_pixels=settings.engine.max_megapixels * 1_000_000,
        max_memory=settings.engine.decode_memory_mib * MIB,
    )


def backend_transport(settings: Settings, version: str) -> Transport | None:
    """The way to the backend of the settings; None where the embedded model answers alone. `version` serves first."""
    if settings.backend.choice == "ray":
        return ray_transport(settings, [version])
    if settings.backend.choice == "modal":
        return open_modal(settings.modal)
    return None


def remote_policy(settings: Settings) -> RemotePolicy:
    """How a backend is asked."""
    return RemotePolicy(in_flight=settings.backend.in_flight, largest=settings.backend.batch)


def prediction_log(settings: Settings, registry: CollectorRegistry, clock: Clock) -> PredictionLog | None:
    """The log of every challenge in the state folder; None when it is switched off."""
    if not settings.log.enabled:
        return None
    return PredictionLog(settings.state_dir / LOG_FOLDER, registry, limits=log_limits(settings.log), wall=clock)


def log_limits(log: LogSettings) -> Limits:
    """What the log may keep."""
    return Limits(int(log.max_gib * GIB), log.max_days)


def watch_policy(settings: Settings) -> WatchPolicy:
    """Look often enough for the network's pace: the mocked chain may be faster than 12 s a block."""
    if not settings.is_mock:
        return WatchPolicy()
    block = settings.mock.block_time
    return WatchPolicy(poll_s=min(6.0, block), every_blocks=1, min_interval_s=min(5.0, block))


def password_prompt() -> Callable[[str], str] | None:
    """Ask on the terminal; None without one, so that a service never waits for a typed password."""
    return getpass.getpass if sys.stdin.isatty() else None
