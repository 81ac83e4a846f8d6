"""The device under the model is lost."""

from __future__ import annotations

from streetvision.base.wording import moment
from streetvision.monitor.finding import Finding, Severity
from streetvision.monitor.needs import MINER
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule import Fault, Rule
from streetvision.monitor.thresholds import Thresholds


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


RULES = (
    Rule(
        code="device_lost",
        order=200,
        severity=Severity.CRITICAL,
        fault=Fault.OURS,
        meaning="The GPU is lost to the miner (driver, memory, hung); the CPU answers in its place where it can",
        remedy="`dmesg` (Xid), `nvidia-smi`, then restart the miner",
        judge=device_lost,
        needs=(MINER,),
        check="device",
        at_once=True,
    ),
)
