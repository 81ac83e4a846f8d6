from __future__ import annotations

import torch

from streetvision.training import camera_look, pasting
from streetvision.training.compiling import compiled_on_cuda
from streetvision.training.jitter import draw_mood, varied
from streetvision.training.layouts import Backdrop, along_street
from streetvision.training.sprite_bank import sprite_bank

CPU = torch.device("cpu")


def gen() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=gen())


def test_a_function_stays_as_it_is_on_a_cpu() -> None:
    looked: list[bool] = []

    @compiled_on_cuda
    def doubled(values: torch.Tensor) -> torch.Tensor:
        looked.append(torch.compiler.is_compiling())
        return 2.0 * values

    assert doubled(torch.ones(2)).tolist() == [2.0, 2.0]
    assert looked == [False]
    assert doubled.__name__ == "doubled"


def test_the_camera_is_one_graph_for_each_of_its_steps() -> None:
    """`fullgraph` raises where something could not be compiled, as a random number could not."""
    pixels = 255.0 * noise(4, 3, 16, 16)
    mood = draw_mood(pixels, gen())
    air = camera_look.Air(200.0 * noise(4, 3, 1, 1), noise(4, 1, 1, 1), 0.5 + noise(4, 1, 1, 1))
    file = (pixels, noise(4, 3, 16, 16), 9.0 * noise(4, 1, 1, 1), 25.0 + 70.0 * noise(4), camera_look.tables(CPU))
    for function, given in (
        (varied, (pixels, mood)),
        (camera_look.through_air, (pixels, air)),
        (camera_look.as_file, file),
    ):
        compiled = torch.compile(getattr(function, "__wrapped__", function), backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(*given), function(*given))


def test_laying_a_sprite_is_one_graph() -> None:
    bank = sprite_bank(4, 7, CPU, side=32)
    labels, canvas = torch.ones(2, dtype=torch.bool), 255.0 * noise(2, 3, 24, 32)
    layout = along_street(bank, labels, Backdrop(torch.full((2, 2), 0.4), labels), (32, 24), gen())
    pieces = pasting.pieces_of(bank, layout, canvas, torch.full((2,), 0.4), gen())
    compiled = torch.compile(pasting.lay.__wrapped__, backend="aot_eager", fullgraph=True)  # type: ignore[attr-defined]
    laid = (torch.zeros_like(canvas), torch.ones_like(canvas[:, :1]), torch.ones_like(canvas[:, :1]))
    for piece in pieces[:2]:
        torch.testing.assert_close(compiled(*laid, piece), pasting.lay(*laid, piece))
