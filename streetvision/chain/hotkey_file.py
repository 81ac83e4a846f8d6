"""Where a hotkey's file lies and how btcli names it: known without the SDK, which takes seconds to import."""

from __future__ import annotations

import shlex
from pathlib import Path

from streetvision.errors import OperatorError, reason
from streetvision.settings.network import WALLETS


class NoHotkeyFile(OperatorError):
    """The named wallet has no such hotkey on this machine."""


def require_hotkey(wallet: str, hotkey: str, path: str) -> None:
    """NoHotkeyFile with the command that makes it, when the hotkey has no file."""
    file = Path(path).expanduser() / wallet / "hotkeys" / hotkey
    if not is_there(file):
        flags = wallet_flags(wallet, hotkey, path)
        raise NoHotkeyFile(f"Hotkey file {file} does not exist: create it with `btcli wallet new-hotkey {flags}`.")


def is_there(file: Path) -> bool:
    """Whether the file exists; OperatorError where this user may not even look."""
    try:
        return file.exists()
    except OSError as error:
        raise OperatorError(
            f"Hotkey file {file} cannot be looked at ({reason(error)}): fix its permissions."
        ) from error


def hotkey_names(wallet: Path) -> list[str]:
    """Hotkeys of one wallet's folder."""
    try:
        found = sorted(path.name for path in (wallet / "hotkeys").iterdir() if path.is_file())
    except OSError:
        return []
    return [name for name in found if not name.endswith("pub.txt")]


def wallet_flags(wallet: str, hotkey: str, path: str) -> str:
    """The flags of btcli that name a wallet, quoted for a shell."""
    flags = f"--wallet {shlex.quote(wallet)} --wallet-hotkey {shlex.quote(hotkey)}"
    usual = Path(path).expanduser() == Path(WALLETS).expanduser()
    return flags if usual else f"{flags} --wallet-path {shlex.quote(path)}"


def check_name(what: str, name: str, flag: str) -> None:
    """A name is that of one folder or file: anything else would lead out of the folder of wallets."""
    if name.startswith("//"):
        raise OperatorError(
            f"{name!r} is no {what} name: development keys have no files. The mock network uses //Miner by itself "
            "when no wallet is named: drop --wallet.name and --wallet.hotkey, or name a wallet of your own."
        )
    if "/" in name or "\0" in name or name in {"", ".", ".."}:
        raise OperatorError(
            f"{name!r} is no {what} name: a name has no slashes. Give the bare name with {flag}, "
            "and the folder of the wallets with --wallet.path."
        )
