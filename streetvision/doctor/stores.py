"""Checks of what is kept on disk: the state folder, the prediction log and the monitor's history."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streetvision.base.sqlite_trouble import CAUSES
from streetvision.base.wording import duration, gib, plural
from streetvision.doctor.check import Check, failure, ok, skipped, warning
from streetvision.monitor.history import read_history
from streetvision.prediction_log.reader import LogReader
from streetvision.prediction_log.schema import DATABASE, LOG_FOLDER
from streetvision.settings.settings import Settings

MONITOR_FOLDER = "monitor"


def check_state(settings: Settings) -> Check:
    """The state folder belongs to this user and can be written."""
    folder = settings.state_dir
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        remedy = f"Make it this user's: sudo install -d -m 700 -o {os.geteuid()} {folder}, or name another --state_dir."
        return failure("state", f"{nearest} cannot be written by user {os.geteuid()}", remedy)
    if nearest != folder:
        return ok("state", f"{folder} will be made at the first start")
    if stat.S_IMODE(folder.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        return warning("state", f"other users may write in {folder}", f"chmod 700 {folder}")
    return ok("state", f"{folder} can be written")


def check_log(settings: Settings, now: float) -> Check:
    """The prediction log can be read, and how much it holds; without a running miner."""
    if not settings.log.enabled:
        return skipped("log", "--log.enabled false: challenges are not kept")
    folder = settings.state_dir / LOG_FOLDER
    if not (folder / DATABASE).exists():
        return skipped("log", f"no challenge has been logged in {folder} yet")
    with LogReader(folder) as reader:
        newest = next(reader.rows(limit=1, newest_first=True), None)
        rows = reader.count()
    if newest is None:
        return ok("log", f"{folder} is empty")
    return ok("log", f"{plural(rows, 'request')} in {folder}, the newest {duration(max(0.0, now - newest.time))} ago")


def check_live_store(name: str, store: Mapping[str, Any] | None) -> Check:
    """The running miner's word on the prediction log or the history."""
    if store is None:
        return skipped(name, "the running miner keeps none")
    if store["degraded"] is not None:
        cause = CAUSES.get(store["degraded"], store["degraded"])
        return failure(name, f"cannot be written: {cause}; {plural(store['lost'], 'row')} lost",
                       "Free space, correct permissions, or end the other process; it recovers by itself.")  # fmt: skip
    if store["lost"]:
        return ok(name, f"written by the running miner; {plural(store['lost'], 'row')} lost since its start")
    return ok(name, "written by the running miner, nothing lost")


def check_history(settings: Settings, hotkey: str | None) -> Check:
    """The monitor's memory can be read."""
    if hotkey is None:
        return skipped("history", "without a hotkey there is no history to look for")
    points, buckets = read_history(settings.state_dir / MONITOR_FOLDER, hotkey, settings.netuid)
    if not points and not buckets:
        return skipped("history", "nothing is remembered yet; a running miner begins it")
    days = (points[-1].time - points[0].time) / 86_400 if points else 0.0
    return ok("history", f"{plural(len(points), 'point')} over {days:.1f} days")


def check_space(folder: Path, free: int | None, total: int | None) -> Check:
    """Room on the disk, when no rule objects."""
    if free is None or not total:
        return skipped("disk", f"the file system of {folder} does not say")
    return ok("disk", f"{gib(free)} free of {gib(total)} for {folder}")


def check_memory(available: int | None, total: int | None) -> Check:
    """Memory, when no rule objects."""
    if available is None or not total:
        return skipped("memory", "the system does not say")
    return ok("memory", f"{gib(available)} available of {gib(total)}")
