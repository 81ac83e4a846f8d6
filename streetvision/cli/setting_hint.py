"""Where a setting goes that a command does not take as a flag: messages name settings by their flags."""

from __future__ import annotations

from typing import Any

import typer

UsageError: Any = typer.BadParameter.__mro__[1]
"""typer's own base of what is wrong with a command line; it does not export it."""
_NO_SUCH = "NoSuchOption"


def explain(error: Any) -> None:  # noqa: ANN401 - as above
    """Add to an option that a command does not know where to put it, if it is a setting."""
    if type(error).__name__ != _NO_SUCH:
        return
    from streetvision.settings.fields import SETTINGS

    for item in SETTINGS:
        if item.flag == error.option_name:
            error.message += f". It is a setting: put {item.env[0]}=... into miner.env, or set it in the environment."
            error.possibilities = None
