# ruff: noqa: ANN401 - the SDK's Keypair is a native class without stubs
"""The miner's keys: the hotkey it serves with, and the coldkey, which is touched for registering alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bittensor import Wallet
from bittensor.sp_core import KeyfileError, WrongPasswordError
from bittensor.wallet import DEFAULT_WALLET_PATH
from bittensor.wallets import resolve_wallet_password
from loguru import logger

from streetvision.chain.hotkey_file import check_name, require_hotkey, wallet_flags
from streetvision.chain.hotkey_password import FLAG as PASSWORD_FLAG
from streetvision.chain.hotkey_password import VARIABLE as HOTKEY_PASSWORD
from streetvision.chain.mock.config import dev_coldkey, dev_hotkey
from streetvision.errors import OperatorError, reason
from streetvision.settings.network import DEFAULT_NAME
from streetvision.settings.secret import Secret

PasswordPrompt = Callable[[str], str]
"""Shows its argument to the operator and returns the password typed."""

PASSWORD_VARIABLE = "BT_WALLET_PASSWORD"  # noqa: S105 - the name of a variable, which the SDK reads as well


NO_PASSWORD = Secret()


class HotkeyLocked(OperatorError):
    """The hotkey is encrypted and no password was given."""


@dataclass(frozen=True)
class MinerWallet:
    """A hotkey ready to sign, and the way to its coldkey."""

    name: str
    hotkey_name: str
    path: str
    hotkey: Any = field(repr=False)
    """The SDK's keypair: `ss58_address`, `public_key`, `crypto_type`, `sign(bytes) -> bytes`, `verify`."""
    unlock: Callable[[PasswordPrompt | None], Any] = field(repr=False)
    """See `unlock_coldkey`."""

    @property
    def ss58_address(self) -> str:
        """The hotkey's address."""
        return str(self.hotkey.ss58_address)

    @property
    def is_development(self) -> bool:
        """Whether this is a development key such as `//Miner`, which no file holds."""
        return self.name.startswith("//")

    def sign(self, message: bytes) -> bytes:
        """The hotkey's signature."""
        return bytes(self.hotkey.sign(message))

    def unlock_coldkey(self, prompt: PasswordPrompt | None = None) -> Any:
        """The coldkey's keypair; blocks for a second or two while the file is decrypted.

        The password comes from BT_WALLET_PASSWORD, the file's BT_PW_ variable or BT_WALLET_PASSWORD_FILE, as in the
        SDK, else from `prompt`; it is kept nowhere. OperatorError when the file or the password is missing or wrong.
        """
        return self.unlock(prompt)


def dev_wallet(name: str = "Miner") -> MinerWallet:
    """The development key `//name` with its mocked coldkey; for the mock network only."""
    return MinerWallet(f"//{name}", f"//{name}", "", dev_hotkey(name), lambda _: dev_coldkey(name))


def load_wallet(
    name: str = DEFAULT_NAME,
    hotkey: str = DEFAULT_NAME,
    path: str = DEFAULT_WALLET_PATH,
    password: Secret = NO_PASSWORD,
) -> MinerWallet:
    """Read the hotkey (only) of a wallet; OperatorError that names the file and the command which helps.

    `password` is an encrypted hotkey's. Decrypting blocks the whole process for seconds: the SDK keeps Python's lock.
    """
    check_name("wallet", name, "--wallet.name")
    check_name("hotkey", hotkey, "--wallet.hotkey")
    wallet = Wallet(name, hotkey, path)
    keypair = _read_hotkey(wallet, password)
    return MinerWallet(wallet.name, wallet.hotkey_str, path, keypair, lambda prompt: _unlock(wallet, prompt))


def _flags(wallet: Wallet) -> str:
    return wallet_flags(wallet.name, wallet.hotkey_str, str(wallet.path))


def _read_hotkey(wallet: Wallet, password: Secret) -> Any:
    file, flags = wallet.hotkey_file.path, _flags(wallet)
    require_hotkey(wallet.name, wallet.hotkey_str, str(wallet.path))
    try:
        encrypted = wallet.hotkey_file.is_encrypted()
        if encrypted and not password:
            raise HotkeyLocked(
                f"Hotkey file {file} is encrypted and the miner signs unattended: name a file that holds its password "
                f"with {PASSWORD_FLAG}, or restore it unencrypted with `btcli wallet regen-hotkey {flags}`."
            )
        if encrypted:
            logger.info("wallet: unlocking hotkey {}, which takes seconds", wallet.hotkey_str)
        keypair = wallet.get_hotkey(password.reveal() if encrypted else None)
        keypair.sign(b"probe")
    except WrongPasswordError:
        raise OperatorError(
            f"Wrong password for hotkey {file}: correct {HOTKEY_PASSWORD} or what {PASSWORD_FLAG} names."
        ) from None
    except OSError as error:
        raise OperatorError(f"Hotkey file {file} cannot be read ({reason(error)}): fix its permissions.") from error
    except (KeyfileError, ValueError) as error:
        raise OperatorError(
            f"Hotkey file {file} holds no usable private key ({error}): "
            f"restore it with `btcli wallet regen-hotkey {flags}`."
        ) from error
    return keypair


def _unlock(wallet: Wallet, prompt: PasswordPrompt | None) -> Any:
    file = wallet.coldkey_file.path
    if not Path(file).exists():
        raise OperatorError(
            f"Coldkey file {file} does not exist and registering needs it: register on the machine that holds it, "
            f"or restore it with `btcli wallet regen-coldkey {_flags(wallet)}`."
        )
    try:
        return wallet.get_coldkey(_password(wallet, prompt))
    except WrongPasswordError as error:
        raise OperatorError(f"Wrong password for coldkey {file}: set {PASSWORD_VARIABLE} or type it again.") from error
    except OSError as error:
        raise OperatorError(f"Coldkey file {file} cannot be read ({reason(error)}): fix its permissions.") from error
    except (KeyfileError, ValueError) as error:
        raise OperatorError(
            f"Coldkey file {file} holds no usable private key ({error}): "
            f"restore it with `btcli wallet regen-coldkey {_flags(wallet)}`."
        ) from error


def _password(wallet: Wallet, prompt: PasswordPrompt | None) -> str | None:
    """The password of an encrypted coldkey, None for an unencrypted one."""
    if not wallet.coldkey_file.is_encrypted():
        return None
    try:
        password = resolve_wallet_password(wallet)
        os.environ.pop(PASSWORD_VARIABLE, None)  # no child process shall inherit it
    except ValueError as error:
        raise OperatorError(f"The wallet password cannot be read: {error}.") from error
    if password is None and prompt is not None:
        password = prompt(f"Password of coldkey {wallet.name}: ")
    if not password:
        raise OperatorError(
            f"Coldkey {wallet.coldkey_file.path} is encrypted and no password was given: set {PASSWORD_VARIABLE}, "
            f"or {PASSWORD_VARIABLE}_FILE, or run this in a terminal."
        )
    return password
