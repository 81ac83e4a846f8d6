"""Drawn works, or things that look like some, laid into a street by perspective, light, haze and shadow."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from streetvision.synthesis.effects.fields import Pixels, luma
from streetvision.synthesis.effects.street_geometry import vanishing_point

if TYPE_CHECKING:
    import torch

    from streetvision.training.sprite_bank import SpriteBank

BANK, BANK_SIDE = 16, 192
"""Sprites to choose from for one picture, works and look-alikes in turn, and the texels of their sides."""
BANKS = 128
"""Different banks: a picture's seed chooses one."""
CLEAR_HEIGHT, CLEAR_SHARE = 0.05, 0.6
"""Of the picture's height, and of itself, that the works which decide the label must show."""
UNMISTAKABLE = frozenset(
    [
        *("cone", "drum", "grabber_cone", "vertical_panel", "channeliser_row", "cone_bar", "longitudinal_channeliser"),
        *("long_barricade", "folding_barricade", "plastic_barricade", "barrier_fence", "mesh_fence"),
        *("diamond_sign", "drum_sign", "detour_sign", "a_frame_sign", "triangle_sign", "arrow_board"),
        *("worker", "crew", "excavator", "backhoe", "loader", "roller", "paver", "attenuator_truck"),
    ]
)
"""Kinds of sprites that are works wherever they stand, so that they decide a label. Heaps, pallets and vans do not."""
TRIES = 12
FIRST_SPRITE = 300_000_000
"""Seeds of sprites that neither the bundled model's training nor its judgement uses."""


def with_works(pixels: Pixels, rng: np.random.Generator) -> Pixels | None:
    """The street with works that nobody could overlook; None where none found a clear place."""
    return _laid(pixels, rng, works=True)


def with_look_alikes(pixels: Pixels, rng: np.random.Generator) -> Pixels | None:
    """The street with things that are no works, such as cars, poles and ordinary signs."""
    return _laid(pixels, rng, works=False)


def _laid(pixels: Pixels, rng: np.random.Generator, *, works: bool) -> Pixels | None:
    import torch

    from streetvision.training.layouts import Backdrop, along_street
    from streetvision.training.pasting import paste

    height, width = pixels.shape[:2]
    bank, decisive = _bank(int(rng.integers(BANKS)))
    column, row = vanishing_point(luma(pixels))
    backdrop = Backdrop(torch.tensor([[column / width, row / height]]), torch.tensor([True]))
    canvas = torch.from_numpy(255.0 * pixels).permute(2, 0, 1)[None]
    for _ in range(TRIES):
        gen = torch.Generator().manual_seed(int(rng.integers(2**62)))
        layout = along_street(bank, torch.tensor([works]), backdrop, (width, height), gen)
        if not bool(layout.present.any()):
            continue
        laid, seen = paste(bank, layout, canvas, backdrop.vanishing[:, 1], gen)
        kept = decisive[layout.sprite] if works else ~bank.works[layout.sprite]
        share = seen / (bank.cover[layout.sprite] * layout.side**2).clamp(min=1.0)
        tall = layout.side * bank.tall[layout.sprite] / height
        if bool((kept & layout.present & (share > CLEAR_SHARE) & (tall > CLEAR_HEIGHT)).any()):
            return np.ascontiguousarray(laid[0].clamp(0.0, 255.0).permute(1, 2, 0).numpy() / np.float32(255.0))
    return None


@lru_cache(maxsize=2)
def _bank(number: int) -> tuple[SpriteBank, torch.Tensor]:
    """The sprites of a bank, and which of them decide a label, bool [BANK]."""
    import torch

    from streetvision.scenes.sprites.sprite import kind_in_atlas
    from streetvision.training.sprite_bank import sprite_bank

    first = FIRST_SPRITE + number * BANK
    decisive = torch.tensor([kind_in_atlas(seed) in UNMISTAKABLE for seed in range(first, first + BANK)])
    return sprite_bank(BANK, first, torch.device("cpu"), side=BANK_SIDE), decisive
