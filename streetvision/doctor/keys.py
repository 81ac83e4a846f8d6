"""Checks of the keys on this machine: the hotkey must be here, the coldkey need not and should not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from streetvision.chain.hotkey_password import is_exposed
from streetvision.chain.wallets import HotkeyLocked, MinerWallet
from streetvision.doctor.check import Check, ok, skipped, warning
from streetvision.miner.from_settings import serving_wallet
from streetvision.settings.settings import Settings


def check_hotkey(settings: Settings, *, running: bool = False) -> tuple[Check, MinerWallet | None]:
    """The hotkey can sign; OperatorError that says what to do when it cannot.

    systemd and Docker may give its password to the miner alone: one that is `running` has unlocked it.
    """
    try:
        wallet = serving_wallet(settings)
    except HotkeyLocked:
        if not running:
            raise
        return skipped("hotkey", "encrypted, and its password is not here; the running miner has unlocked it"), None
    if wallet.is_development:
        return ok("hotkey", f"{wallet.ss58_address}, the development key {wallet.name} of the mock network"), wallet
    file = wallet_folder(settings) / "hotkeys" / wallet.hotkey_name
    evidence = f"{wallet.ss58_address} signs, from {file}"
    if _others_may_read(file):
        return warning("hotkey", f"{evidence}, which other users may read", f"chmod 600 {file}"), wallet
    password = settings.wallet.hotkey_password_file
    if password is not None and is_exposed(password):
        return warning("hotkey", f"{evidence}; other users may read its password", f"chmod 600 {password}"), wallet
    return ok("hotkey", evidence), wallet


def wallet_folder(settings: Settings) -> Path:
    """The folder of the chosen wallet."""
    return settings.wallet.path / settings.wallet.names[0]


def check_coldkey(settings: Settings) -> Check:
    """Mining needs no coldkey: one that lies on a machine with an open port can be stolen with it."""
    if settings.is_mock and not settings.wallet.name:
        return skipped("coldkey", "the mock network has keys of its own")
    file = wallet_folder(settings) / "coldkey"
    if not os.path.lexists(file):
        return ok("coldkey", "not on this machine, where nothing needs it")
    if settings.register.choice:
        return warning(
            "coldkey",
            f"{file} is here for --register {settings.register.choice}",
            "Drop --register once the hotkey has its UID, and move the coldkey to another machine.",
        )
    remedy = f"Mining needs the hotkey alone: move {file} to another machine, and keep its mnemonic offline."
    return warning("coldkey", f"{file} is on this machine", remedy)


def _others_may_read(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False
