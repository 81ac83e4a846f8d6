"""Rules about the miner's own process: the device under its model, and whether it stays up."""

from __future__ import annotations

from streetvision.base.wording import moment, plural
from streetvision.monitor.finding import Finding, Rule, Severity
from streetvision.monitor.observation import Observation
from streetvision.monitor.thresholds import Thresholds

SHOWN = 5
"""Crashes that are named, the newest."""


def device_lost(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The GPU is lost to this process."""
    device = seen.device
    if device is None:
        return []
    instead = "the CPU answers" if device.on_cpu else "nothing answers"
    return [
        Finding(
            code="device_lost",
            severity=Severity.CRITICAL,
            title=f"the device is lost, and {instead} in its place",
            evidence=(f"Since {moment(device.at)}: {device.why}.",),
            remedy="Look for Xid lines in dmesg and see that nvidia-smi lists the GPU (else reload the driver or "
            "reboot), then restart the miner: a running process never gets a lost device back.",
            since=device.at,
            data={"on_cpu": device.on_cpu},
        )
    ]


def crash_loop(seen: Observation, limits: Thresholds) -> list[Finding]:
    """The miner crashed again and again before it was started this time."""
    crashes = [crash for crash in seen.crashes if seen.now - crash.at <= limits.crash_window_s]
    if len(crashes) < limits.crashes:
        return []
    return [
        Finding(
            code="crash_loop",
            severity=Severity.CRITICAL,
            title=f"{plural(len(crashes), 'start')} in a row ended in a crash",
            evidence=tuple(f"Started {moment(crash.at)}: {crash.why}." for crash in crashes[-SHOWN:]),
            remedy="Read the end of the log before each start, dmesg for Xid and out-of-memory lines, and run "
            "streetvision doctor. A stop and a start by hand skip the pause before the next try.",
            since=crashes[0].at,
            data={"crashes": len(crashes)},
        )
    ]


PROCESS_RULES = (
    Rule(
        "device_lost",
        Severity.CRITICAL,
        "The GPU is lost to the miner (driver, memory, hung); the CPU answers in its place where it can",
        "`dmesg` (Xid), `nvidia-smi`, then restart the miner",
        device_lost,
    ),
    Rule(
        "crash_loop",
        Severity.CRITICAL,
        "Three starts or more within two hours ended in a crash, with no clean stop since",
        "The finding names times and reasons: the log, `dmesg`, the doctor",
        crash_loop,
    ),
)
