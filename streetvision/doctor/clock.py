"""Whether this machine's clock is right, without asking a time server: validators, the kernel's word, the blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streetvision.base.steady_clock import kernel_synchronised
from streetvision.doctor.check import Check, ok, skipped, warning
from streetvision.monitor.clock import Verdict, verdict

_SYNCHRONISE = "Synchronise it: sudo timedatectl set-ntp true, then timedatectl status (or chronyc tracking)."
_ANOTHER_NODE = "name other nodes with --subtensor.chain_endpoint"


def check_clock(
    offset: float | None,
    synchronised: Callable[[], bool | None] = kernel_synchronised,
    *,
    validators: Sequence[float] = (),
) -> Check:
    """`offset` is our clock less the newest block's time in seconds, `validators` ours less each validator's."""
    kept = synchronised()
    found = verdict(offset, validators, kept)
    blocks = "" if offset is None else f"our clock less the newest block's time is {offset:+.1f} s"
    if found is Verdict.CLOCK_OFF:
        return warning("clock", blocks or "it differs from most validators' clocks", _SYNCHRONISE)
    if found is Verdict.UNDECIDED:
        return warning(
            "clock", f"{blocks}: it is ahead, or the node lags", f"{_SYNCHRONISE} If it is right, {_ANOTHER_NODE}."
        )
    if found is not Verdict.AGREED:
        remedy = f"Leave the clock as it is and {_ANOTHER_NODE}."
        return warning("clock", f"it is right, but the node is not: {blocks}", remedy)
    if kept is False and offset is None:
        return warning("clock", "no time daemon keeps it", _SYNCHRONISE)
    if kept is None and offset is None:
        return skipped("clock", "neither the kernel nor the chain says", "Look yourself: timedatectl status")
    word = {
        True: "a time daemon keeps it",
        False: "the kernel knows of no time daemon",
        None: "the kernel does not say",
    }
    usual = "" if offset is None else f"; {offset:.1f} s after the newest block, which is usual"
    return ok("clock", f"{word[kept]}{usual}")
