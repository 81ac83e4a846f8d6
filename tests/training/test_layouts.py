from __future__ import annotations

import pytest
import torch

from streetvision.training.layouts import CLOSE, CLOSEST, Layout, close_up
from streetvision.training.sprite_bank import SpriteBank, sprite_bank

CPU = torch.device("cpu")
SIZE = (384, 288)
COUNT = 400


@pytest.fixture(scope="module")
def bank() -> SpriteBank:
    return sprite_bank(40, 7, CPU, side=32)


def laid(bank: SpriteBank, label: bool) -> Layout:
    gen = torch.Generator().manual_seed(3)
    labels = torch.full((COUNT,), label)
    return close_up(bank, labels, torch.full((COUNT, 2), 0.5), SIZE, gen)


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
    bottom = layout.y + (bank.box[layout.sprite][..., 3] - bank.ground[layout.sprite]) * layout.side
    top = bottom - bank.tall[layout.sprite] * layout.side
    inside = (bottom.clamp(max=SIZE[1]) - top.clamp(min=0)) / (bottom - top)
    assert (inside[layout.present] > 0.4).float().mean() > 0.9
