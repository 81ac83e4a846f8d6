"""A fleet's status: each miner is asked for its snapshot, side by side, and what its keeper knows is put beside it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from streetvision import __version__
from streetvision.control.client import MinerStarting, NotRunning
from streetvision.errors import OperatorError
from streetvision.fleet.asking import keeper_of
from streetvision.fleet.fleet_file import Fleet
from streetvision.fleet.keeper import Kept
from streetvision.fleet.member import Member
from streetvision.fleet.schema import SCHEMA, FleetState, FleetStatus, FleetTotals, MinerRow
from streetvision.fleet.units import unit_of
from streetvision.status.asking import ask
from streetvision.status.schema import Span, Status

SPAN = Span(days=1.0, intervals=1)
SILENCE_S = 5.0
"""A miner repeats itself every two seconds: one that says nothing for so long is shown as silent."""
AT_ONCE = 16
MOST_FINDINGS = 20
SERVING = ("serving", "degraded")

Ask = Callable[[Path, Span], Status]


def ask_soon(folder: Path, span: Span) -> Status:
    """As `status.asking.ask`, with less patience: one that hangs must not hold up the view of the others."""
    return ask(folder, span, silence_s=SILENCE_S)


def fleet_status(
    fleet: Fleet, kept: Mapping[str, Kept], *, asking: Ask = ask_soon, now: Callable[[], float] = time.time
) -> FleetStatus:
    """All miners as of now; `kept` is empty when nobody keeps them. Blocks: for a thread or a command."""
    new = Kept(held=True) if kept else None  # of a fleet that is up, one whose table is new in the file
    with ThreadPoolExecutor(min(AT_ONCE, len(fleet.members)), thread_name_prefix="fleet") as pool:
        rows = list(pool.map(lambda member: row_of(member, kept.get(member.name, new), asking, now()), fleet.members))
    return {
        "schema": SCHEMA,
        "taken_at": now(),
        "version": __version__,
        "file": str(fleet.file),
        "keeper": keeper_of(fleet),
        "totals": totals_of(rows),
        "miners": rows,
    }


def row_of(member: Member, kept: Kept | None, asking: Ask, now: float) -> MinerRow:
    """One miner, whatever state it is in."""
    row = _blank(member, kept)
    try:
        found = asking(member.folder, SPAN)
    except MinerStarting as error:
        row["state"], row["pid"] = "starting", error.starting.pid
        row["why"] = error.starting.words(now) + (f"; before, {kept.why}" if kept is not None and kept.why else "")
    except NotRunning:
        row["state"], row["why"] = _absent(member.name, kept)
    except OperatorError as error:
        row["state"], row["why"] = "silent", f"{error}"
    else:
        _fill(row, found)
    if row["pid"] is not None:
        row["memory"], row["unit"] = shared_memory(row["pid"]), unit_of(row["pid"]) or ""
    return row


def _absent(name: str, kept: Kept | None) -> tuple[FleetState, str]:
    """Nobody answers: it has just been started, is to be started again, is held, or nobody cares."""
    if kept is None:
        return "stopped", "it does not run: `streetvision fleet up` starts it, or its unit of systemd"
    if kept.held and kept.pid is None:
        return "stopped", f"it was stopped by hand, or is new: `streetvision fleet restart {name}` starts it"
    if kept.pid is not None:
        return "starting", "its process has just begun"
    return (
        ("down", kept.why or "it was stopped, and is started again")
        if kept.ended is not None
        else ("starting", "it waits for others to start first")
    )


def _blank(member: Member, kept: Kept | None) -> MinerRow:
    """What is known of a miner that does not answer."""
    return {
        "name": member.name, "state": "stopped", "why": "", "hotkey": "", "uid": None,
        "port": member.settings.axon.port, "rank": None, "miners": None, "incentive": None, "emission_per_day": None,
        "tao_per_day": None, "position": None, "per_minute": None, "answered": None, "requests": None, "p99": None,
        "model": None, "findings": [], "pid": None if kept is None else kept.pid, "unit": "", "up_since": None,
        "memory": None, "restarts": None if kept is None else kept.restarts, "ended": "" if kept is None else kept.why,
        "next_try": None if kept is None else kept.next_try, "state_dir": str(member.folder),
    }  # fmt: skip


def _fill(row: MinerRow, found: Status) -> None:
    """What the miner says of itself."""
    miner, traffic, models = found["miner"], found["traffic"], found["models"]
    row["state"], row["why"], row["hotkey"] = miner["state"], miner["why"], miner["hotkey"]
    row["pid"], row["up_since"] = miner["pid"], miner["started"]
    row["per_minute"] = traffic["per_minute"]
    row["answered"], row["requests"] = traffic["answered"], traffic["requests"]
    total = traffic["stages"].get("total")
    row["p99"] = None if total is None else total["p99"]
    row["model"] = None if models is None else f"{models['active']['version']} ({models['active']['name']})"
    row["findings"] = [
        {"severity": str(one["severity"]), "title": str(one["title"]), "remedy": str(one["remedy"])}
        for one in found["findings"][:MOST_FINDINGS]
    ]
    standing = found["standing"]
    if standing is not None and standing["uid"] is not None:
        for name in ("uid", "rank", "miners", "incentive", "emission_per_day", "tao_per_day", "position"):
            row[name] = standing[name]


def totals_of(rows: Sequence[MinerRow]) -> FleetTotals:
    """Sums over the miners that answer."""
    in_tao = [row["tao_per_day"] for row in rows if row["tao_per_day"] is not None]
    return {
        "miners": len(rows),
        "serving": sum(row["state"] in SERVING for row in rows),
        "registered": sum(row["uid"] is not None for row in rows),
        "emission_per_day": sum(row["emission_per_day"] or 0.0 for row in rows),
        "tao_per_day": sum(in_tao) if in_tao else None,
        "per_minute": sum(row["per_minute"] or 0.0 for row in rows),
        "findings": dict(Counter(finding["severity"] for row in rows for finding in row["findings"])),
        "memory": sum(row["memory"] or 0 for row in rows),
    }


def shared_memory(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Bytes that a process holds, those that it shares with others divided among them; None when it is not to be read.

    Twelve resident sizes added up would count the libraries that all of them map twelve times (proc(5), Pss).
    """
    try:
        lines = (proc / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith("Pss:")), [])
    return int(found[1]) << 10 if len(found) > 1 and found[1].isdigit() else None
