"""Checks of the settings: readable, known, private, and those that the running miner has too."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from streetvision.base.paths import expanded
from streetvision.doctor.check import Check, ok, warning
from streetvision.doctor.live import Live
from streetvision.settings.fields import ENV_FILE_VARIABLE, setting_fields
from streetvision.settings.flags import read_flags
from streetvision.settings.loading import load_settings
from streetvision.settings.secret import Secret
from streetvision.settings.settings import Settings

SAME = "Give the doctor the miner's own flags or MINER_ENV, or restart the miner to use these settings."


def read_settings(
    arguments: Sequence[str], environ: Mapping[str, str], cwd: Path
) -> tuple[Settings, Path | None, list[str]]:
    """The settings, the file they come from, and what is wrong with names in it; ConfigError for a wrong value."""
    sentences: list[str] = []
    settings = load_settings(arguments, environ, cwd=cwd, warn=sentences.append)
    named = read_flags(arguments)[1] or environ.get(ENV_FILE_VARIABLE)
    file = expanded(named) if named else cwd / "miner.env"
    return settings, file if file.is_file() else None, sentences


def check_settings(
    settings: Settings, file: Path | None, sentences: Sequence[str], live: Live | None, hotkey: str | None = None
) -> Check:
    """Where the settings come from, and whether anything is odd about them. No value is shown that may be a secret."""
    where = str(file) if file is not None else "no miner.env here; flags, environment and defaults"
    evidence = f"{where}; netuid {settings.netuid} on {place(settings)}"
    if sentences:
        return warning("settings", f"{evidence}; {'; '.join(sentences)}", "Correct or remove these lines.")
    other = differences(settings, live, hotkey)
    if other:
        return warning("settings", f"{evidence}; the running miner has {', '.join(other)}", SAME)
    if file is not None and _exposed(settings, file):
        return warning("settings", f"{file} holds secrets and others may read it", f"chmod 600 {file}")
    return ok("settings", evidence)


def place(settings: Settings) -> str:
    """The network, for people."""
    return ", ".join(settings.endpoints) or settings.subtensor_network


def differences(settings: Settings, live: Live | None, hotkey: str | None) -> list[str]:
    """Settings that the running miner has otherwise, as `port 9000`."""
    if live is None:
        return []
    has = {**live.miner, "hotkey": live.observed.get("hotkey")}
    ours = {
        "netuid": settings.netuid,
        "network": place(settings),
        "port": settings.axon_port or None,
        "hotkey": hotkey,
    }
    return [
        f"{name} {has[name]}"
        for name, value in ours.items()
        if value is not None and has.get(name) not in (None, value)
    ]


def _exposed(settings: Settings, file: Path) -> bool:
    values = (getattr(settings, item.name) for item in setting_fields())
    holds = any(isinstance(value, Secret) and value for value in values)
    return holds and bool(file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
