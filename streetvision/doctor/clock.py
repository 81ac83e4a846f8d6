"""Whether this machine's clock is right, without asking a time server: the kernel's word, and the chain's blocks."""

from __future__ import annotations

from collections.abc import Callable

from streetvision.doctor.check import Check, ok, skipped, warning
from streetvision.monitor.thresholds import THRESHOLDS
from streetvision.steady_clock import kernel_synchronised

_SYNCHRONISE = "Synchronise it: sudo timedatectl set-ntp true, then timedatectl status (or chronyc tracking)."


def check_clock(offset: float | None, synchronised: Callable[[], bool | None] = kernel_synchronised) -> Check:
    """`offset` is our clock less the newest block's time in seconds; up to a block's delay is usual."""
    limits = THRESHOLDS
    if offset is not None and not -limits.skew_s <= offset <= limits.block_delay_s:
        return warning("clock", f"our clock less the newest block's time is {offset:+.1f} s", _SYNCHRONISE)
    blocks = "" if offset is None else f"; {offset:.1f} s after the newest block, which is usual"
    kept = synchronised()
    if kept is False and offset is None:
        return warning("clock", "no time daemon keeps it", _SYNCHRONISE)
    if kept is None and offset is None:
        return skipped("clock", "neither the kernel nor the chain says", "Look yourself: timedatectl status")
    word = {
        True: "a time daemon keeps it",
        False: "the kernel knows of no time daemon",
        None: "the kernel does not say",
    }
    return ok("clock", f"{word[kept]}{blocks}")
