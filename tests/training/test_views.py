from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from streetvision.scenes.augment import LEVELS, MAX_SEVERITY, ORDER, STRESS, draw_recipes
from streetvision.training import views
from streetvision.training.views import Cut, Dice

EVEN = dict.fromkeys(LEVELS, 1.0)


def dice(seed: int = 0) -> Dice:
    return Dice(torch.Generator().manual_seed(seed))


def sizes(count: int, width: int = 300, height: int = 200) -> torch.Tensor:
    return torch.tensor([[width, height]], dtype=torch.int32).expand(count, 2)


def test_a_cut_is_the_recipe_of_the_numpy_version() -> None:
    recipes = draw_recipes(np.random.default_rng(0), np.array([0, 1, 1, 2, 3, 3]), 300, 200)
    fields = [recipes.angle, recipes.left, recipes.top, recipes.wide, recipes.flip_x, recipes.flip_y]
    tensors = [torch.from_numpy(np.asarray(one)) for one in fields]
    cut = Cut(torch.full((6,), 300.0), torch.full((6,), 200.0), *tensors)
    torch.testing.assert_close(cut.matrices(), torch.from_numpy(recipes.matrices()), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(300, 300), (640, 360), (360, 640)])
def test_cuts_are_drawn_as_the_numpy_version_draws_them(size: tuple[int, int]) -> None:
    count = 4000
    ours = views.draw_cuts(sizes(count, *size), torch.zeros(count, dtype=torch.bool), dice())
    theirs = draw_recipes(np.random.default_rng(1), np.ones(count, np.int64), *size)
    for mine, other in ((ours.side, theirs.wide), (ours.left, theirs.left), (ours.top, theirs.top)):
        assert float(mine.mean()) == pytest.approx(float(other.mean()), abs=0.03 * max(size))
        assert float(mine.std()) == pytest.approx(float(other.std()), abs=0.03 * max(size))
        assert (mine == mine.round()).all()
    assert (ours.left + ours.side <= size[0]).all()
    assert (ours.top + ours.side <= size[1]).all()
    assert float(ours.angle.abs().max()) == pytest.approx(20.0, abs=0.2)
    assert float(ours.flip_x.float().mean()) == pytest.approx(0.5, abs=0.04)
    assert float(ours.flip_y.float().mean()) == pytest.approx(0.5, abs=0.04)


def test_a_plain_cut_is_the_central_square() -> None:
    cut = views.draw_cuts(sizes(50), torch.ones(50, dtype=torch.bool), dice())
    assert (cut.left == 50).all()
    assert (cut.top == 0).all()
    assert (cut.side == 200).all()
    assert not cut.angle.any()
    assert not cut.flip_y.any()


def test_levels_come_as_often_as_asked() -> None:
    chosen = views.draw_levels(20_000, {0: 1.0, 2: 3.0, 3: 0.0}, dice())
    shares = np.bincount(chosen.numpy(), minlength=3) / 20_000
    assert shares == pytest.approx([0.25, 0.75, 0.0], abs=0.01)


def test_each_level_draws_its_severities_evenly_and_no_others() -> None:
    levels = {**EVEN, STRESS: 1.0}
    for place, level in enumerate(levels):
        drawn = views.draw_severities(torch.full((3000,), place), levels, dice(level))
        for column, name in enumerate(ORDER):
            seen, counts = np.unique(drawn[:, column], return_counts=True)
            assert list(seen) == list(range(MAX_SEVERITY[level].get(name, 0) + 1))
            assert counts.max() < 1.25 * counts.min()


def test_blocks_occur_under_stress_alone() -> None:
    assert "blocks" not in views.occurring(EVEN)
    assert views.occurring({0: 1.0, 1: 1.0}) == []
    assert views.occurring({0: 1.0, STRESS: 0.0}) == []
    assert tuple(views.occurring({STRESS: 1.0})) == ORDER


def corners(matrices: torch.Tensor) -> torch.Tensor:
    """Where the output's corners (top left, top right, bottom left) look at: [N, 3, 2]."""
    at = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    return torch.einsum("nij,pj->npi", matrices, at)


def test_whole_pictures_are_squashed_or_cut_to_their_central_square() -> None:
    squash, crop = views.whole(sizes(1), "squash"), views.whole(sizes(1), "crop")
    torch.testing.assert_close(corners(squash)[0], torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    torch.testing.assert_close(corners(crop)[0], torch.tensor([[1 / 6, 0.0], [5 / 6, 0.0], [1 / 6, 1.0]]))


def test_sideways_pictures_are_quarter_turns() -> None:
    seen = corners(views.turned(views.whole(sizes(400), "squash"), 0.5, dice())).round(decimals=4).tolist()
    upright, left, right = (
        [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]],
        [[0.0, 1.0], [0.0, 0.0], [1.0, 1.0]],
        [[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]],
    )
    counts = [sum(one == way for one in seen) for way in (upright, left, right)]
    assert sum(counts) == 400
    assert counts[0] == pytest.approx(200, abs=40)
    assert min(counts[1:]) > 60


def test_reframed_pictures_stay_within_the_picture() -> None:
    seen = corners(views.reframed(views.whole(sizes(500), "squash"), 0.7, dice()))
    assert seen.min() >= -1e-6
    assert seen.max() <= 1 + 1e-6
    spans = (seen[:, 1] - seen[:, 0])[:, 0]
    assert float(spans.abs().min()) >= 0.7 - 1e-6
    assert 0.4 < float((spans < 0).float().mean()) < 0.6, "half are mirrored"
    assert float((spans.abs() == 1).float().mean()) == pytest.approx(0.5, abs=0.1)


def test_a_cut_knows_its_picture_by_true_size() -> None:
    cut = views.draw_cuts(sizes(1), torch.ones(1, dtype=torch.bool), dice())
    upright = replace(cut, flip_x=torch.zeros(1, dtype=torch.bool))
    torch.testing.assert_close(upright.matrices(), views.whole(sizes(1), "crop"))
