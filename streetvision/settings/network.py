"""The settings of the network: whose keys, which chain, where to listen and whom to answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streetvision.base.defaults import MAX_BODY_MIB
from streetvision.settings.parsing import (
    MOCK_NETWORK,
    declare,
    integer,
    number,
    parse_address,
    parse_bool,
    parse_endpoints,
    parse_network,
    parse_path,
)

WALLETS = "~/.bittensor/wallets"
"""The SDK's own folder of wallets."""
DEFAULT_NAME = "default"
"""Of a wallet and of a hotkey that are not named, as everywhere in bittensor."""
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - a miner serves the whole internet
_PORT = integer(0, 65535)


@dataclass(frozen=True, kw_only=True)
class WalletSettings:
    """Whose keys: `--wallet.*`."""

    name: str = declare("", "Wallet (coldkey) name; empty: `default`.", str)
    hotkey: str = declare("", "Hotkey name; empty: `default`.", str)
    path: Path = declare(
        Path(WALLETS).expanduser(),
        "Folder of the wallets. Only the hotkey is read; keep the coldkey elsewhere.",
        parse_path,
    )
    hotkey_password_file: Path | None = declare(
        None,
        "File with the password of an encrypted hotkey, mode 600. Or put the password itself into the environment as "
        "`WALLET_HOTKEY_PASSWORD`; no flag takes it.",
        parse_path,
    )

    @property
    def names(self) -> tuple[str, str]:
        """Of the wallet and of the hotkey, as files have them."""
        return self.name or DEFAULT_NAME, self.hotkey or DEFAULT_NAME


@dataclass(frozen=True, kw_only=True)
class SubtensorSettings:
    """Which chain, over which nodes: `--subtensor.*`."""

    network: str = declare(
        "finney",
        "`finney`, `test`, `local`, a ws:// or wss:// address, or `mock` for the in-memory chain.",
        parse_network,
    )
    chain_endpoint: str = declare(
        "",
        "ws:// or wss:// address of a node; wins over --subtensor.network. Separate several by commas: the first is "
        "used, the others are fallbacks.",
        parse_endpoints,
    )

    @property
    def is_mock(self) -> bool:
        """Whether it is the in-memory chain."""
        return self.network == MOCK_NETWORK

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Nodes in order of preference; empty: the network's own."""
        return tuple(part.strip() for part in self.chain_endpoint.split(",") if part.strip())

    @property
    def place(self) -> str:
        """The nodes or the network, for people."""
        return ", ".join(self.endpoints) or self.network


@dataclass(frozen=True, kw_only=True)
class AxonSettings:
    """Where validators call, and what one of them may send: `--axon.*`."""

    port: int = declare(
        8091, "TCP port to listen on; 0 takes any free one.", _PORT, env=("MINER_AXON_PORT", "BT_AXON_PORT")
    )
    ip: str = declare("", "Address to listen on; empty: every IPv4 and IPv6 address.", parse_address, env="BT_AXON_IP")
    external_ip: str = declare(
        "",
        "Address published on the chain; empty: this machine's own public address. Needed behind NAT.",
        parse_address,
        env="BT_AXON_EXTERNAL_IP",
    )
    external_port: int = declare(
        0, "Port published on the chain; 0: the port listened on.", _PORT, env="BT_AXON_EXTERNAL_PORT"
    )
    max_body_mib: int = declare(
        MAX_BODY_MIB,
        "Largest request body accepted, in MiB. Photos are sent as base64, a third larger than their files.",
        integer(1, 512),
    )
    requests_per_minute: int = declare(
        600, "Most requests a minute from one hotkey; more are refused with 429.", integer(1, 100_000)
    )
    deadline_margin: float = declare(
        0.5, "Seconds of the caller's timeout kept in reserve for sending the answer back.", number(0.0, 5.0)
    )

    @property
    def hosts(self) -> tuple[str, ...]:
        """Addresses to listen on."""
        return (self.ip,) if self.ip else EVERY_ADDRESS


@dataclass(frozen=True, kw_only=True)
class BlacklistSettings:
    """Who is answered: `--blacklist.*`."""

    force_validator_permit: bool = declare(True, "Answer only hotkeys with a validator permit.", parse_bool)
    allow_non_registered: bool = declare(
        False, "Also answer hotkeys that are not registered on the subnet. Anyone can then use your GPU.", parse_bool
    )
    min_stake: float = declare(0.0, "Answer only hotkeys with at least this stake, in alpha.", number(0.0, 1e12))
