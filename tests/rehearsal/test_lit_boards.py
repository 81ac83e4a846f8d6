"""Boards that shine by night: two patterns, the same for the same randomness, brighter than the dark."""

from __future__ import annotations

import numpy as np

from streetvision.rehearsal.lit_boards import with_boards

DARK = np.full((120, 160, 3), 8, np.uint8)


def boards(works: bool, seed: int = 3) -> np.ndarray:
    return with_boards(DARK, works=works, rng=np.random.default_rng(seed))


def test_they_stand_out_and_leave_the_rest_alone() -> None:
    for works in (True, False):
        changed = (boards(works) != DARK).any(axis=2)
        assert 0.02 < changed.mean() < 0.7
        assert boards(works)[changed].max() > 100


def test_only_the_pattern_tells_works_from_a_market() -> None:
    ours, market = boards(True), boards(False)
    assert ((ours != DARK).any(axis=2) == (market != DARK).any(axis=2)).mean() > 0.98
    blue, green = ours.astype(int), market.astype(int)
    assert blue[..., 2].sum() > blue[..., 1].sum()
    assert green[..., 1].sum() > green[..., 2].sum()


def test_they_are_the_same_for_the_same_randomness() -> None:
    assert (boards(True) == boards(True)).all()
    assert (boards(True) != boards(True, seed=4)).any()
