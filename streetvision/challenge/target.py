"""From what an operator names to whom is asked, and by whom the challenge is signed."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streetvision.chain.hotkey_file import is_there
from streetvision.challenge.exchange import Target
from streetvision.control.client import SOCKET_NAME, call
from streetvision.errors import ConfigError, OperatorError, reason
from streetvision.settings.settings import Settings
from streetvision.status.schema import OPERATION

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
VALIDATOR = "Bob"
"""Of the mocked chain, who asks unless another is named."""
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})")
_HOTKEY = re.compile(r"[1-9A-HJ-NP-Za-km-z]{46,49}")
_NAME = re.compile(r"[A-Za-z]{1,32}")


@dataclass(frozen=True, slots=True)
class Running:
    """The miner of the state folder, as far as a caller must know it."""

    endpoint: str
    hotkey: str
    is_mock: bool


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signs, and how to call that key."""

    signer: Any
    """The SDK's keypair."""
    name: str


def pictures_in(paths: list[Path]) -> list[Path]:
    """Files as they are, folders as the pictures that lie in them, in order; OperatorError for what is not there."""
    found: list[Path] = []
    for path in paths:
        try:
            inside = _inside(path)
        except OSError as error:
            raise OperatorError(f"{path} cannot be read ({reason(error)}): check its permissions") from error
        if inside is None:
            raise OperatorError(f"{path} is neither a picture nor a folder of pictures: check the path")
        if not inside:
            raise OperatorError(f"{path} holds no pictures ({', '.join(PICTURES)})")
        found += inside
    return found


def _inside(path: Path) -> list[Path] | None:
    """The pictures that a path stands for; None for what is neither file nor folder."""
    if path.is_dir():
        return sorted(filter(_is_picture, path.iterdir()))
    return [path] if path.is_file() else None


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in PICTURES and file.is_file()


def check_hotkey(text: str) -> None:
    """ConfigError for what cannot be a hotkey's address."""
    if _HOTKEY.fullmatch(text) is None:
        raise ConfigError(f"{text!r} is no hotkey: an address such as 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")


def split_endpoint(text: str) -> tuple[str, int]:
    """Host and port; ConfigError for anything else. An IPv6 address stands in brackets."""
    host, colon, port = text.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    if colon and 1 <= number <= 65535:
        if host.startswith("[") and host.endswith("]") and _is_ipv6(host[1:-1]):
            return host[1:-1], number
        if _HOST.fullmatch(host):
            return host, number
    raise ConfigError(f"{text!r} is no endpoint: write HOST:PORT, such as 203.0.113.7:8091 or [2001:db8::7]:8091")


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def running_miner(settings: Settings) -> Running:
    """The miner that serves in the state folder; OperatorError when there is none, or it publishes nothing yet."""
    miner = call(settings.state_dir / SOCKET_NAME, OPERATION).get("miner")
    fields = miner if isinstance(miner, dict) else {}
    endpoint, hotkey, network = (str(fields.get(name) or "") for name in ("endpoint", "hotkey", "network"))
    if not (endpoint and hotkey):
        raise OperatorError("the running miner has published no endpoint: name one with --endpoint")
    return Running(endpoint, hotkey, network == "mock")


def find_target(endpoint: str | None, hotkey: str | None, running: Running | OperatorError, own: str) -> Target:
    """Whom to ask: what is named, else the running miner. `own` is the caller, the last guess at who the miner is."""
    known = running if isinstance(running, Running) else None
    if endpoint is None:
        if known is None:
            raise OperatorError(f"{running}. To ask another miner, name it with --endpoint HOST:PORT --hotkey SS58")
        endpoint = known.endpoint
    host, port = split_endpoint(endpoint)
    return Target(host, port, hotkey or (known.hotkey if known is not None else own))


def find_caller(settings: Settings, validator: str | None, *, is_mock: bool, named: bool) -> Caller:
    """The key that signs: a validator of the mocked chain, else the wallet's, else one made for the occasion.

    `named`: the wallet was named, and must be there.
    """
    from bittensor.sp_core import Keypair

    if validator is not None or (is_mock and not named):
        name = validator or VALIDATOR
        if _NAME.fullmatch(name) is None:
            raise ConfigError(f"{name!r} is no validator of the mocked chain such as Bob")
        return Caller(Keypair.create_from_uri(f"//{name}"), f"//{name}")
    from streetvision.chain.wallets import load_wallet

    wallet, hotkey = settings.wallet_name or "default", settings.wallet_hotkey or "default"
    file = settings.wallet_path / wallet / "hotkeys" / hotkey
    if named or is_there(file):
        loaded = load_wallet(wallet, hotkey, str(settings.wallet_path))
        return Caller(loaded.hotkey, loaded.ss58_address)
    return Caller(Keypair.create_from_mnemonic(Keypair.generate_mnemonic()), "a hotkey made for this call")
