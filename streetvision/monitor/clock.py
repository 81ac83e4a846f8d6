"""Whose time is wrong, ours or the node's: validators and the kernel outvote a node. No time server is asked."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from streetvision.monitor.thresholds import THRESHOLDS, Thresholds


class Verdict(StrEnum):
    """Whose clock is wrong, by the vote of all clocks that are heard."""

    AGREED = "agreed"
    """Nothing speaks against our clock or the node."""
    CLOCK_OFF = "clock_off"
    NODE_LAGS = "node_lags"
    """The node's newest block is old, by a clock that is right."""
    NODE_AHEAD = "node_ahead"
    """The node's blocks come from the future, by a clock that is right."""
    UNDECIDED = "undecided"
    """The node lags or our clock is ahead: nobody else has said which."""


def verdict(
    node: float | None,
    validators: Sequence[float],
    synchronised: bool | None,
    *,
    refused: bool = False,
    limits: Thresholds = THRESHOLDS,
) -> Verdict:
    """Weigh offsets of our clock, in seconds, positive where ours is ahead. Pure.

    `node` is our clock less its newest block's time, `validators` ours less each one's, `synchronised` the kernel's
    word. `refused`: validators' requests are refused for their time now, so that what was heard before says no more.
    A kernel that knows of no time daemon proves nothing: many virtual machines are kept by their host.
    """
    word = None if refused else majority(validators, limits)
    if word:
        return Verdict.CLOCK_OFF
    doubt = 0 if node is None else (node > limits.block_delay_s) - (node < -limits.skew_s)
    if node is None or not doubt:
        return Verdict.AGREED
    if refused or (len(validators) < limits.skew_validators and _same_error(node, validators, limits)):
        return Verdict.CLOCK_OFF
    if word == 0 or synchronised:
        return Verdict.NODE_LAGS if doubt > 0 else Verdict.NODE_AHEAD
    return Verdict.UNDECIDED if doubt > 0 else Verdict.CLOCK_OFF


def majority(validators: Sequence[float], limits: Thresholds = THRESHOLDS) -> int | None:
    """By most validators' clocks ours is right (0), ahead (1) or behind (-1); None when they do not agree on one.

    A few may themselves be wrong: they can clear our clock, as agreement is no accident, but not accuse it.
    """
    sides = _sides(validators, limits)
    if len(sides) < limits.skew_validators:
        return 0 if sides and not any(sides) else None
    return next((side for side in (0, 1, -1) if 2 * sides.count(side) > len(sides)), None)


def _same_error(node: float, validators: Sequence[float], limits: Thresholds) -> bool:
    """Whether a validator finds our clock as wrong as the node does: seconds of one explain no hours of the other."""
    apart = limits.block_delay_s + limits.skew_s
    return any(
        side and abs(node - offset) <= apart
        for side, offset in zip(_sides(validators, limits), validators, strict=True)
    )


def _sides(validators: Sequence[float], limits: Thresholds) -> list[int]:
    return [(offset > limits.skew_s) - (offset < -limits.skew_s) for offset in validators]
