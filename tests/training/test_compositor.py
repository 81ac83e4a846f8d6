from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from streetvision.training.compositor import Compositor, Style, objects_table
from streetvision.training.layouts import SLOTS, Backdrop, Layout, along_street, close_up
from streetvision.training.pasting import paste
from streetvision.training.photographs import Photographs
from streetvision.training.pool import in_view
from streetvision.training.sources import CLOSE_UPS, STREETS
from streetvision.training.sprite_bank import SIDE, SpriteBank, sprite_bank

CPU = torch.device("cpu")
SIZE = (96, 72)


@pytest.fixture(scope="module")
def bank() -> SpriteBank:
    return sprite_bank(24, 7, CPU)


@pytest.fixture(scope="module")
def photographs() -> Photographs:
    gen = torch.Generator().manual_seed(5)
    some = torch.randint(60, 180, (2, 48, 64, 3), generator=gen, dtype=torch.uint8)
    return Photographs(some, some[:1], some, some, some)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def on_ground(count: int, horizon: float) -> Backdrop:
    return Backdrop(torch.tensor([[0.5, horizon]]).repeat(count, 1), torch.ones(count, dtype=torch.bool))


def test_the_same_seed_makes_the_same_pictures(bank: SpriteBank, photographs: Photographs) -> None:
    labels = torch.tensor([True, False] * 4)
    first, second = (Compositor(bank, photographs, SIZE, STREETS).compose(labels, generator()) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.objects, second.objects)
    assert first.images.shape == (8, 72, 96, 3)


def test_pictures_without_works_lack_objects_and_the_others_have_some(
    bank: SpriteBank, photographs: Photographs
) -> None:
    labels = torch.tensor([True, False] * 8)
    made = Compositor(bank, photographs, SIZE, STREETS).compose(labels, generator(1))
    evidence = made.objects[..., 5].sum(dim=1)
    assert (evidence[~labels] == 0).all()
    assert (evidence[labels] > 0).float().mean() > 0.7


@pytest.mark.parametrize("style", [STREETS, CLOSE_UPS])
def test_both_classes_lie_on_the_same_backgrounds(bank: SpriteBank, photographs: Photographs, style: Style) -> None:
    nothing = replace(bank, texels=torch.zeros_like(bank.texels))
    pictures = [
        Compositor(nothing, photographs, SIZE, style).compose(torch.full((8,), label), generator(3)).images
        for label in (True, False)
    ]
    assert torch.equal(*pictures), "with sprites that cannot be seen the label must leave no trace"


def test_a_picture_differs_from_its_background_only_where_sprites_lie(bank: SpriteBank) -> None:
    labels, gen = torch.ones(6, dtype=torch.bool), generator(2)
    horizon = torch.full((6,), 0.4)
    layout = along_street(bank, labels, on_ground(6, 0.4), SIZE, gen)
    layout = replace(layout, lean=torch.zeros_like(layout.lean))
    canvas = torch.full((6, 3, 72, 96), 120.0)
    unlit = replace(bank, texels=bank.texels * torch.tensor([1, 1, 1, 1, 0], dtype=torch.uint8).view(1, 5, 1, 1))
    pixels, seen = paste(unlit, layout, canvas, horizon, gen)
    table = objects_table(bank, layout, seen, SIZE)
    changed = (pixels - 120.0).abs().amax(dim=1) > 2.0
    x, y = (torch.arange(length) + 0.5 for length in SIZE)
    half = layout.side / 2 + 1.0
    reach = (x - layout.x[..., None]).abs()[:, :, None] < half[..., None, None]
    below = (y - layout.y[..., None]).abs()[..., None] < 2 * half[..., None, None]
    anywhere = (reach & below & layout.present[..., None, None]).any(dim=1)
    assert changed.any()
    assert not (changed & ~anywhere).any()
    assert table.shape == (6, 8, 6)


def test_the_box_of_a_clear_object_holds_what_was_laid_there(bank: SpriteBank) -> None:
    index = int(bank.pools[True, False][0])
    labels, gen = torch.ones(1, dtype=torch.bool), generator(4)
    layout = along_street(bank, labels, on_ground(1, 0.3), (320, 240), gen)
    only = torch.arange(SLOTS) == 0
    layout = replace(
        layout,
        sprite=torch.full((1, SLOTS), index),
        present=only[None],
        x=torch.full((1, SLOTS), 160.0),
        y=torch.full((1, SLOTS), 200.0),
        side=torch.full((1, SLOTS), 100.0),
        lean=torch.zeros(1, SLOTS),
        flip=torch.ones(1, SLOTS),
    )
    unlit = replace(bank, texels=bank.texels * torch.tensor([1, 1, 1, 1, 0], dtype=torch.uint8).view(1, 5, 1, 1))
    pixels, seen = paste(unlit, layout, torch.full((1, 3, 240, 320), 255.0), torch.tensor([0.3]), gen)
    table = objects_table(bank, layout, seen, (320, 240))
    left, top, right, bottom = (table[0, 0, :4] * torch.tensor([320, 240, 320, 240])).tolist()
    rows, columns = torch.nonzero((pixels[0] < 250).all(dim=0), as_tuple=True)
    assert left - 2 <= float(columns.min()) and float(columns.max()) <= right + 2
    assert top - 2 <= float(rows.min())
    assert bottom > top
    shown, _ = in_view(table, torch.eye(2, 3)[None])
    assert shown[0, 0]
    assert not shown[0, 1:].any()


def test_a_thing_in_front_hides_what_is_behind(bank: SpriteBank) -> None:
    labels, gen = torch.ones(1, dtype=torch.bool), generator(4)
    layout = along_street(bank, labels, on_ground(1, 0.3), (160, 120), gen)
    same = {name: torch.full((1, SLOTS), value) for name, value in (("x", 80.0), ("y", 100.0), ("side", 60.0))}
    sprite = torch.full((1, SLOTS), int(bank.pools[True, False][0]))
    present = (torch.arange(SLOTS) < 2)[None]
    layout = replace(
        layout, sprite=sprite, present=present, lean=torch.zeros(1, SLOTS), flip=torch.ones(1, SLOTS), **same
    )
    _, seen = paste(bank, layout, torch.full((1, 3, 120, 160), 90.0), torch.tensor([0.3]), gen)
    assert seen[0, 1] < 0.25 * seen[0, 0]


def test_sprites_of_a_label_are_chosen_by_it(bank: SpriteBank) -> None:
    wanted = torch.tensor([[True, False], [False, True]]).repeat(20, 1)
    assert torch.equal(bank.works[bank.choose(wanted, torch.ones_like(wanted), generator())], wanted)
    assert bank.texels.shape[1] == 5
    assert bank.texels.shape[2] >= SIDE


def test_sprites_may_have_more_detail(photographs: Photographs) -> None:
    finer = sprite_bank(6, 7, CPU, side=64)
    assert finer.side == 64
    coarse, fine = (
        Compositor(one, photographs, SIZE, CLOSE_UPS).compose(torch.tensor([True] * 4), generator(2))
        for one in (sprite_bank(6, 7, CPU), finer)
    )
    assert (coarse.objects[..., 5].sum(dim=1) > 0).tolist() == (fine.objects[..., 5].sum(dim=1) > 0).tolist()
    assert (coarse.images.float() - fine.images.float()).abs().mean() < 8.0, "the same things at the same places"


def test_kinds_of_background_that_are_not_there_leave_their_share_to_the_others(bank: SpriteBank) -> None:
    nothing, white = torch.zeros(0, 8, 8, 3, dtype=torch.uint8), torch.full((1, 8, 8, 3), 200, dtype=torch.uint8)
    only = Photographs(white, nothing, nothing, nothing, nothing)
    unseen = replace(bank, texels=torch.zeros_like(bank.texels))
    made = Compositor(unseen, only, SIZE, CLOSE_UPS).compose(torch.zeros(7, dtype=torch.bool), generator())
    assert made.images.shape == (7, 72, 96, 3)
    assert (made.images >= 199).all()


def test_nothing_stands_before_a_wall_or_a_sky(bank: SpriteBank) -> None:
    nothing = torch.zeros(0, 8, 8, 3, dtype=torch.uint8)
    flat = {kind: torch.full((1, 8, 8, 3), shade, dtype=torch.uint8) for kind, shade in (("wall", 90), ("street", 160))}
    photographs = Photographs(flat["street"], nothing, nothing, flat["wall"], nothing)
    asked: list[Backdrop] = []

    def noted(bank: SpriteBank, labels: torch.Tensor, backdrop: Backdrop, *rest: Any) -> Layout:
        asked.append(backdrop)
        return close_up(bank, labels, backdrop, *rest)

    style = replace(CLOSE_UPS, arrange=noted)
    unseen = replace(bank, texels=torch.zeros_like(bank.texels))
    made = Compositor(unseen, photographs, SIZE, style).compose(torch.ones(40, dtype=torch.bool), generator())
    street = made.images.float().mean(dim=(1, 2, 3)) > 120
    assert 0 < int(street.sum()) < 40
    assert torch.equal(asked[0].ground, street)
