"""The GPU is hot or full."""

from __future__ import annotations

from streetvision.base.wording import gib
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Need, Rule
from streetvision.monitor.thresholds import Thresholds


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


_GPU = Need("no GPU reading", lambda seen, _: seen.machine.gpu_free is not None or seen.machine.gpu_celsius is not None)

RULES = (
    Rule(
        code="gpu_pressure",
        order=1120,
        severity=Severity.WARNING,
        fault=Fault.OURS,
        meaning="Under 3 % of GPU memory is free, or the GPU is hot enough to slow down",
        remedy="End other processes on the GPU; cooling",
        judge=gpu_pressure,
        needs=(_GPU,),
        check="device",
    ),
)
