"""What a run is fed with: decoded pictures are kept where the recipe gives them room."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import torch

from streetvision.training.feeding import CANVASES, Ingredients, Place, make_feed
from streetvision.training.loading import Loader
from streetvision.training.pictures import gather

from .nets import recipe, small_net
from .pictures import drawn_set


def shown(loader: Loader) -> dict[int, torch.Tensor]:
    """An epoch's pictures by their number."""
    return {int(number): image for raw in loader for number, image in zip(raw.indices, raw.images, strict=True)}


@pytest.mark.parametrize("room", [0.0, 1.0])
def test_decoded_pictures_are_kept_where_there_is_room(tmp_path: Path, room: float) -> None:
    pictures = gather([drawn_set(tmp_path / "set", 8, val=4)])
    how = recipe(tune={"method": "full"}, run={"batch": 4, "cache_gib": room})
    place = Place(0, 1, torch.device("cpu"))
    made = make_feed(
        Ingredients(how, pictures, small_net(), tmp_path / "training" / "run" / "start", place, lambda _: None)
    )
    with closing(made) as feed:
        assert isinstance(feed.train, Loader)
        first = shown(feed.train)
        for example in pictures.train:
            example.path.unlink()
        if room:
            again = shown(feed.train)
            assert all(torch.equal(image, again[number]) for number, image in first.items())
            assert not feed.unreadable()
    kept = list((tmp_path / "training" / CANVASES).glob("*.bin"))
    assert len(kept) == bool(room)
