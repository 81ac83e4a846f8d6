"""One miner of a fleet: its settings, what is handed to its process, and the command that starts it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streetvision.base.state_folder import make_state_folder
from streetvision.settings.env_file import render, write
from streetvision.settings.fields import ENV_FILE_VARIABLE, FROM_FILE, SETTINGS
from streetvision.settings.settings import Settings

HANDED_FILE = "fleet.env"
"""In the miner's state folder: its settings as its process reads them, written anew at each start."""
LOG_FILE = "miner.log"
"""In the miner's state folder: what its process says on stderr."""
ARENAS = "MALLOC_ARENA_MAX"
"""glibc keeps a heap for every few threads; two keep the resident size flat, as in our service files."""


@dataclass(frozen=True)
class Member:
    """One miner of the fleet."""

    name: str
    settings: Settings
    texts: Mapping[str, str]
    """By setting, as the fleet's file has them; secrets of the environment are not among them."""

    @property
    def folder(self) -> Path:
        """Its state folder."""
        return self.settings.state_dir

    @property
    def log(self) -> Path:
        """Its log."""
        return self.folder / LOG_FILE


def hand_over(member: Member) -> Path:
    """Write the settings for its process, readable by this user alone; OperatorError when that cannot be."""
    make_state_folder(member.folder)
    file = member.folder / HANDED_FILE
    text = render(member.texts)
    _, _, settings = text.partition("\n")
    write(
        file,
        f"# Written by `streetvision fleet` at each start of {member.name}; edit the fleet's file instead.\n{settings}",
    )
    return file


def command(handed: Path) -> list[str]:
    """Start the miner with these settings."""
    script = Path(__file__).parents[2] / "neurons" / "miner.py"
    start = [str(script)] if script.is_file() else ["-m", "streetvision"]
    return [sys.executable, *start, "--env_file", str(handed)]


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the process is to inherit: everything but settings, which would be the same for all miners; and secrets."""
    settings = {name for item in SETTINGS if not item.is_secret for name in item.env} | {ENV_FILE_VARIABLE}
    settings |= {name + FROM_FILE for item in SETTINGS if not item.is_secret for name in item.env}
    return {ARENAS: "2", **{name: value for name, value in environ.items() if name not in settings}}
