"""The password of an encrypted hotkey: from a file or from the environment, never from a flag, kept nowhere."""

from __future__ import annotations

import stat
from collections.abc import MutableMapping
from pathlib import Path

from loguru import logger

from streetvision.errors import OperatorError, reason
from streetvision.settings.secret import Secret

VARIABLE = "WALLET_HOTKEY_PASSWORD"
FLAG = "--wallet.hotkey_password_file"
_MOST_BYTES = 4096
_DOCKERS = Path("/run/secrets")
_SYSTEMDS = "CREDENTIALS_DIRECTORY"
"""Variable that names the folder of a unit's credentials."""


def hotkey_password(file: Path | None, environ: MutableMapping[str, str]) -> Secret:
    """The password, empty when none is given; OperatorError when the file cannot be used.

    The variable beats the file and is taken out of `environ`, so that no child process inherits it.
    """
    text = environ.pop(VARIABLE, "")
    if text:
        return Secret(text)
    if file is None:
        return Secret()
    password = Secret(_read(file))
    if is_exposed(file, environ.get(_SYSTEMDS, "")):
        logger.warning("wallet: other users may read the hotkey's password in {}: chmod 600 {}", file, file)
    return password


def is_exposed(file: Path, credentials: str = "") -> bool:
    """Whether others may read it; what systemd and Docker hand out has the mode that they give it."""
    folder = file.parent.resolve()
    if folder.is_relative_to(_DOCKERS.resolve()) or (credentials and folder.is_relative_to(credentials)):
        return False
    try:
        return bool(file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False


def _read(file: Path) -> str:
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe would be waited for without end
            raise _unusable(file, "it is no file")
        with file.open("rb") as content:
            text = content.read(_MOST_BYTES + 1).decode()
    except OSError as error:
        raise _unusable(file, reason(error)) from error
    except UnicodeDecodeError:
        raise _unusable(file, "it is not a text file") from None
    line = text.removesuffix("\n").removesuffix("\r")
    if not line or len(text) > _MOST_BYTES or "\n" in line or "\0" in line:
        raise _unusable(file, "it must hold the password in one line, and nothing else")
    return line


def _unusable(file: Path, why: str) -> OperatorError:
    return OperatorError(f"The hotkey's password cannot be read from {file} ({why}): correct {FLAG}.")
