from __future__ import annotations

import numpy as np
import pytest

from streetvision.training.order import epoch_order, shard

LABELS = np.array([True] * 10 + [False] * 40)


def test_an_epoch_shows_every_picture_once() -> None:
    order = epoch_order(LABELS, 50, seed=1, epoch=3)
    assert sorted(order) == list(range(50))
    assert list(order) != sorted(order)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    one = epoch_order(LABELS, 50, seed=1, epoch=3)
    np.testing.assert_array_equal(one, epoch_order(LABELS, 50, seed=1, epoch=3))
    assert (one != epoch_order(LABELS, 50, seed=2, epoch=3)).any()
    assert (one != epoch_order(LABELS, 50, seed=1, epoch=4)).any()


def test_balance_takes_each_class_in_turns_over_the_bounds_of_epochs() -> None:
    epochs = [epoch_order(LABELS, 50, seed=0, epoch=number, positive_share=0.5) for number in range(4)]
    assert all(LABELS[order].sum() == 25 for order in epochs)
    seen = np.bincount(np.concatenate(epochs), minlength=50)
    assert set(seen[:10]) == {10}, "100 draws of 10 positives"
    assert set(seen[10:]) <= {2, 3}, "100 draws of 40 negatives"


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_one_class_alone_can_be_asked_for(share: float) -> None:
    order = epoch_order(LABELS, 20, seed=0, epoch=0, positive_share=share)
    assert set(LABELS[order]) == {bool(share)}


def test_a_class_without_pictures_cannot_be_drawn_from() -> None:
    with pytest.raises(ValueError, match="no picture"):
        epoch_order(np.zeros(5, np.bool_), 4, seed=0, epoch=0, positive_share=0.5)


def test_more_than_there_are_begins_again() -> None:
    order = epoch_order(LABELS[:3], 8, seed=0, epoch=0)
    assert set(np.bincount(order)) == {2, 3}


def test_ranks_share_each_step_as_one_process_would_see_it() -> None:
    order = epoch_order(LABELS, 48, seed=0, epoch=0)
    alone = shard(order, 8, rank=0, world=1)
    pair = [shard(order, 4, rank=rank, world=2) for rank in (0, 1)]
    for step, batch in enumerate(alone):
        np.testing.assert_array_equal(batch, np.concatenate([ranks[step] for ranks in pair]))


def test_a_short_last_step_is_shared_out_too() -> None:
    ranks = [shard(np.arange(11), 4, rank=rank, world=2) for rank in (0, 1)]
    assert [list(map(len, batches)) for batches in ranks] == [[4, 2], [4, 1]]
    assert sorted(np.concatenate([*ranks[0], *ranks[1]])) == list(range(11))
