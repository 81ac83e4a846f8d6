"""Rules about the machine under the miner: disk, memory, GPU, and the stores that they may fail."""

from __future__ import annotations

from streetvision.base.sqlite_trouble import CAUSES
from streetvision.base.wording import gib, plural, share
from streetvision.monitor.finding import Finding, Rule, Severity
from streetvision.monitor.observation import Observation, StoreView
from streetvision.monitor.thresholds import Thresholds


def disk_low(seen: Observation, limits: Thresholds) -> list[Finding]:
    """Little space is left where the state is kept."""
    free, total = seen.machine.disk_free, seen.machine.disk_total
    if free is None or not total:
        return []
    if free >= max(limits.disk_critical_bytes, min(limits.disk_bytes, limits.disk_share * total)):
        return []
    folder = seen.machine.disk_folder
    return [
        Finding(
            code="disk_low",
            severity=Severity.CRITICAL if free < limits.disk_critical_bytes else Severity.WARNING,
            title=f"{gib(free)} of disk left",
            evidence=(f"The file system of {folder or 'the state folder'} has {gib(free)} free of {gib(total)}.",),
            remedy=f"Free space (du -xh --max-depth=2 {folder or '/'} | sort -h | tail), or lower --log.max_gib.",
            data={"free": free, "total": total},
        )
    ]


def memory_low(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The kernel may soon kill a process."""
    free, total = seen.machine.memory_available, seen.machine.memory_total
    if free is None or not total or free >= limits.memory_share * total:
        return []
    own = seen.machine.process_bytes
    return [
        Finding(
            code="memory_low",
            severity=Severity.CRITICAL if free < limits.memory_critical_share * total else Severity.WARNING,
            title=f"{gib(free)} of memory left",
            evidence=(
                f"{gib(free)} of {gib(total)} are available ({share(free / total)}).",
                *((f"The miner itself holds {gib(own)}.",) if own is not None else ()),
            ),
            remedy="End other work on this machine (ps aux --sort=-rss | head), or raise the container's limit; if the "
            "miner holds most of it, restart it and please report the growth.",
            data={"available": free, "total": total, "process": own},
        )
    ]


def gpu_pressure(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The GPU is hot, or its memory is taken."""
    machine = seen.machine
    evidence = []
    if machine.gpu_free is not None and machine.gpu_total and machine.gpu_free < limits.gpu_share * machine.gpu_total:
        others = f", {gib(machine.gpu_others)} of it held by other processes" if machine.gpu_others else ""
        evidence.append(f"{gib(machine.gpu_free)} of {gib(machine.gpu_total)} GPU memory are free{others}.")
    if machine.gpu_celsius is not None and machine.gpu_celsius >= limits.gpu_celsius:
        evidence.append(f"The GPU has {machine.gpu_celsius:.0f} °C and slows down from {limits.gpu_celsius:.0f} °C on.")
    if not evidence:
        return []
    return [
        Finding(
            code="gpu_pressure",
            severity=Severity.WARNING,
            title="the GPU is short of memory or too hot",
            evidence=tuple(evidence),
            remedy="See nvidia-smi: end other processes on this GPU, or give the miner another with --device; check "
            "cooling when it is hot.",
            data={"free": machine.gpu_free, "total": machine.gpu_total, "celsius": machine.gpu_celsius},
        )
    ]


def log_degraded(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The prediction log cannot be written."""
    return _store("log_degraded", "the prediction log", seen.log)


def history_degraded(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The monitor's own history cannot be written."""
    return _store("history_degraded", "the monitor's history", seen.history)


def _store(code: str, name: str, store: StoreView | None) -> list[Finding]:
    if store is None or store.degraded is None:
        return []
    return [
        Finding(
            code=code,
            severity=Severity.WARNING,
            title=f"{name} cannot be written ({store.degraded})",
            evidence=(f"{plural(store.lost, 'row')} lost since the miner started; requests are served all the same.",),
            remedy=f"{name[0].upper()}{name[1:]}: {CAUSES[store.degraded]}.",
            data={"cause": store.degraded, "lost": store.lost},
        )
    ]


MACHINE_RULES = (
    Rule(
        "disk_low",
        Severity.CRITICAL,
        "The state folder's disk has under 5 % and under 2 GiB free, or under 256 MiB",
        "Free space, or lower `--log.max_gib`",
        disk_low,
    ),
    Rule(
        "memory_low",
        Severity.CRITICAL,
        "Less than a tenth of the memory is available",
        "End other work; restart the miner if it has grown",
        memory_low,
    ),
    Rule(
        "gpu_pressure",
        Severity.WARNING,
        "Under 3 % of GPU memory is free, or the GPU is hot enough to slow down",
        "End other processes on the GPU; cooling",
        gpu_pressure,
    ),
    Rule(
        "log_degraded",
        Severity.WARNING,
        "The prediction log cannot be written",
        "The finding names the cause: disk, permissions, another process",
        log_degraded,
    ),
    Rule(
        "history_degraded",
        Severity.WARNING,
        "The monitor's own history cannot be written",
        "The finding names the cause: disk, permissions, another process",
        history_degraded,
    ),
)
