"""The settings of the network: which subnet, whose keys, which chain, where to listen and to whom."""

# ruff: noqa: RUF009 - `declare` returns a dataclass field

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streetvision.settings.parsing import (
    declare,
    integer,
    number,
    parse_address,
    parse_bool,
    parse_endpoints,
    parse_network,
    parse_path,
)
from streetvision.subnet import SUBNET

_PORT = integer(0, 65535)


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Where the miner stands and whom it answers; part of Settings."""

    netuid: int = declare(
        SUBNET.netuid,
        "--netuid",
        "NETUID",
        f"Subnet to mine: {SUBNET.netuid} on the main network, {SUBNET.test_netuid} on the test network.",
        integer(0, 65535),
    )
    wallet_name: str = declare("", "--wallet.name", "WALLET_NAME", "Wallet (coldkey) name; empty: `default`.", str)
    wallet_hotkey: str = declare("", "--wallet.hotkey", "WALLET_HOTKEY", "Hotkey name; empty: `default`.", str)
    wallet_path: Path = declare(
        Path("~/.bittensor/wallets").expanduser(),
        "--wallet.path",
        "WALLET_PATH",
        "Folder of the wallets. Only the hotkey is read; keep the coldkey elsewhere.",
        parse_path,
    )
    wallet_hotkey_password_file: Path | None = declare(
        None,
        "--wallet.hotkey_password_file",
        "WALLET_HOTKEY_PASSWORD_FILE",
        "File with the password of an encrypted hotkey, mode 600. Or put the password itself into the environment as "
        "`WALLET_HOTKEY_PASSWORD`; no flag takes it.",
        parse_path,
    )
    subtensor_network: str = declare(
        "finney",
        "--subtensor.network",
        "SUBTENSOR_NETWORK",
        "`finney`, `test`, `local`, a ws:// or wss:// address, or `mock` for the in-memory chain.",
        parse_network,
    )
    subtensor_chain_endpoint: str = declare(
        "",
        "--subtensor.chain_endpoint",
        "SUBTENSOR_CHAIN_ENDPOINT",
        "ws:// or wss:// address of a node; wins over --subtensor.network. Separate several by commas: the first is "
        "used, the others are fallbacks.",
        parse_endpoints,
    )
    axon_port: int = declare(
        8091,
        "--axon.port",
        ("MINER_AXON_PORT", "BT_AXON_PORT"),
        "TCP port to listen on; 0 takes any free one.",
        _PORT,
    )
    axon_ip: str = declare(
        "", "--axon.ip", "BT_AXON_IP", "Address to listen on; empty: every IPv4 and IPv6 address.", parse_address
    )
    axon_external_ip: str = declare(
        "",
        "--axon.external_ip",
        "BT_AXON_EXTERNAL_IP",
        "Address published on the chain; empty: this machine's own public address. Needed behind NAT.",
        parse_address,
    )
    axon_external_port: int = declare(
        0,
        "--axon.external_port",
        "BT_AXON_EXTERNAL_PORT",
        "Port published on the chain; 0: the port listened on.",
        _PORT,
    )
    axon_max_body_mib: int = declare(
        48,
        "--axon.max_body_mib",
        "AXON_MAX_BODY_MIB",
        "Largest request body accepted, in MiB. Photos are sent as base64, a third larger than their files.",
        integer(1, 512),
    )
    axon_requests_per_minute: int = declare(
        600,
        "--axon.requests_per_minute",
        "AXON_REQUESTS_PER_MINUTE",
        "Most requests a minute from one hotkey; more are refused with 429.",
        integer(1, 100_000),
    )
    axon_deadline_margin: float = declare(
        0.5,
        "--axon.deadline_margin",
        "AXON_DEADLINE_MARGIN",
        "Seconds of the caller's timeout kept in reserve for sending the answer back.",
        number(0.0, 5.0),
    )
    blacklist_force_validator_permit: bool = declare(
        True,
        "--blacklist.force_validator_permit",
        "BLACKLIST_FORCE_VALIDATOR_PERMIT",
        "Answer only hotkeys with a validator permit.",
        parse_bool,
    )
    blacklist_allow_non_registered: bool = declare(
        False,
        "--blacklist.allow_non_registered",
        "BLACKLIST_ALLOW_NON_REGISTERED",
        "Also answer hotkeys that are not registered on the subnet. Anyone can then use your GPU.",
        parse_bool,
    )
    blacklist_min_stake: float = declare(
        0.0,
        "--blacklist.min_stake",
        "BLACKLIST_MIN_STAKE",
        "Answer only hotkeys with at least this stake, in alpha.",
        number(0.0, 1e12),
    )
