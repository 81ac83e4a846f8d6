"""Paths as operators write them."""

from __future__ import annotations

from pathlib import Path

from streetvision.errors import ConfigError


def expanded(text: str | Path) -> Path:
    """The path, `~` being a home; ConfigError where it is that of a user whom this machine does not know."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigError(f"{str(text)!r} names the home of a user that does not exist: write the whole path") from None


def current_folder() -> Path:
    """The folder that relative paths start in; ConfigError when it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigError("the current folder was removed: change to another one") from None
