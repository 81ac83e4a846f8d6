from __future__ import annotations

import pytest
import torch

from streetvision.training.layouts import CLOSE, CLOSEST, LOWER, Backdrop, Layout, along_street, close_up
from streetvision.training.sprite_bank import SpriteBank, sprite_bank

CPU = torch.device("cpu")
SIZE = (384, 288)
COUNT = 400


@pytest.fixture(scope="module")
def bank() -> SpriteBank:
    return sprite_bank(60, 8, CPU, side=32)


def backdrop(ground: bool = True) -> Backdrop:
    return Backdrop(torch.full((COUNT, 2), 0.5), torch.full((COUNT,), ground))


def laid(bank: SpriteBank, label: bool, ground: bool = True) -> Layout:
    gen = torch.Generator().manual_seed(3)
    return close_up(bank, torch.full((COUNT,), label), backdrop(ground), SIZE, gen)


def bottoms(bank: SpriteBank, layout: Layout) -> torch.Tensor:
    """Lowest row of each thing, as a share of the picture's height."""
    return (layout.y + (bank.box[layout.sprite][..., 3] - bank.ground[layout.sprite]) * layout.side) / SIZE[1]


def heights(bank: SpriteBank, layout: Layout) -> torch.Tensor:
    """Of the tallest thing in each picture, as shares of the picture's height."""
    tall = layout.side * bank.tall[layout.sprite] * layout.present
    return tall.amax(dim=1) / SIZE[1]


def test_a_close_up_shows_one_thing_large(bank: SpriteBank) -> None:
    found = heights(bank, laid(bank, True))
    assert found.max() <= 1.11 * CLOSEST
    assert ((found > 0.8 * CLOSE) & (found < 1.11 * CLOSEST)).float().mean() > 0.8
    assert found.std() > 0.1


def test_only_the_label_brings_works(bank: SpriteBank) -> None:
    for label in (True, False):
        layout = laid(bank, label)
        works = (bank.works[layout.sprite] & layout.present).any(dim=1)
        assert works.all() if label else not works.any()


def test_works_have_companions_that_are_none(bank: SpriteBank) -> None:
    layout = laid(bank, True)
    ordinary = (~bank.works[layout.sprite] & layout.present).any(dim=1)
    assert 0.2 < float(ordinary.float().mean()) < 0.8


def test_a_few_pictures_without_works_stay_bare(bank: SpriteBank) -> None:
    bare = ~laid(bank, False).present.any(dim=1)
    assert 0.01 < float(bare.float().mean()) < 0.1


def test_the_larger_thing_stands_in_front(bank: SpriteBank) -> None:
    layout = laid(bank, True)
    both = layout.present[:, 0] & layout.present[:, 1]
    assert (layout.side[both, 0] >= layout.side[both, 1]).all()


def test_most_of_the_main_thing_is_in_the_picture(bank: SpriteBank) -> None:
    layout = laid(bank, True)
    bottom = bottoms(bank, layout) * SIZE[1]
    top = bottom - bank.tall[layout.sprite] * layout.side
    inside = (bottom.clamp(max=SIZE[1]) - top.clamp(min=0)) / (bottom - top)
    assert (inside[layout.present] > 0.4).float().mean() > 0.9


def test_what_stands_has_its_foot_low_and_the_rest_is_anywhere(bank: SpriteBank) -> None:
    for label in (True, False):
        layout = laid(bank, label)
        stands, foot = bank.stands[layout.sprite], bottoms(bank, layout)
        assert foot[layout.present & stands].min() > LOWER - 0.05
        assert foot[layout.present & ~stands].min() < LOWER - 0.1


def test_without_ground_nothing_stands(bank: SpriteBank) -> None:
    for label in (True, False):
        layout = laid(bank, label, ground=False)
        assert not (bank.stands[layout.sprite] & layout.present).any()
        assert (bank.works[layout.sprite] & layout.present).any(dim=1).all() == label


def test_along_a_street_nothing_that_stands_is_above_the_horizon(bank: SpriteBank) -> None:
    labels = torch.arange(COUNT) % 2 == 0
    layout = along_street(bank, labels, backdrop(), SIZE, torch.Generator().manual_seed(3))
    stands = bank.stands[layout.sprite] & layout.present
    assert (layout.y[stands] > 0.5 * SIZE[1]).all()
    assert (layout.y[layout.present & ~stands] < 0.5 * SIZE[1]).any()


def test_both_classes_have_things_that_stand_and_things_that_do_not(bank: SpriteBank) -> None:
    assert all(len(pool) for pool in bank.pools.values())
    assert {(bool(work), bool(stand)) for work, stand in zip(bank.works, bank.stands, strict=True)} == {
        (work, stand) for work in (True, False) for stand in (True, False)
    }
