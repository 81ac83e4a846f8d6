"""What a run is fed with: decoded pictures are kept where the recipe gives them room."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize(
    ("cache", "workers", "gib"), [("none", 0, 0.0), ("memory", 0, 0.0), ("memory", 1, 0.01), ("disk", 0, 1.0)]
)
def test_decoded_pictures_are_kept_where_there_is_room(tmp_path: Path, cache: str, workers: int, gib: float) -> None:
    pictures = gather([drawn_set(tmp_path / "set", 8, val=4)])
    keeping = {"cache": cache, "workers": workers, "cache_gib": gib}
    how = recipe(tune={"method": "full"}, run={"batch": 4, **keeping})
    place, told = Place(0, 1, torch.device("cpu")), list[dict[str, Any]]()
    made = make_feed(
        Ingredients(how, pictures, small_net(), tmp_path / "training" / "run" / "start", place, told.append)
    )
    with closing(made) as feed:
        assert isinstance(feed.train, Loader)
        first = shown(feed.train)
        for example in pictures.train:
            example.path.unlink()
        if cache != "none":
            again = shown(feed.train)
            assert all(torch.equal(image, again[number]) for number, image in first.items())
            assert not feed.unreadable()
    kept = list((tmp_path / "training" / CANVASES).glob("*.bin"))
    assert len(kept) == (cache == "disk")
    total = {"none": [], "memory": [12], "disk": [8]}[cache]
    assert [(event["event"], event["pictures"], event["total"]) for event in told] == [("kept", n, n) for n in total]


def test_a_decoded_picture_that_finds_no_room_is_decoded_again(tmp_path: Path) -> None:
    pictures = gather([drawn_set(tmp_path / "set", 8, val=4)])
    how = recipe(tune={"method": "full"}, run={"batch": 4, "cache_gib": 5 * 3 * 64 * 64 / 2**30})
    told = list[dict[str, Any]]()
    place = Place(0, 1, torch.device("cpu"))
    with closing(
        make_feed(Ingredients(how, pictures, small_net(), tmp_path / "a" / "b" / "c", place, told.append))
    ) as feed:
        assert isinstance(feed.train, Loader)
        first, again = shown(feed.train), shown(feed.train)
    assert all(torch.equal(image, again[number]) for number, image in first.items())
    assert told == [{"event": "kept", "where": "in memory", "pictures": 5, "total": 12, "gib": 0.0}]
