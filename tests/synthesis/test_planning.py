from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streetvision.errors import ConfigError
from streetvision.settings.synthetic import SyntheticSettings
from streetvision.sources.dataset import Example
from streetvision.synthesis.kinds import KINDS, kinds_named
from streetvision.synthesis.planning import allowed, parents_of, plan


def parents(count: int) -> list[Example]:
    return [Example(Path(f"{n}.jpg"), n % 2 == 0, f"g{n}", "train", sha256=f"{n:064d}") for n in range(count)]


def test_every_parent_is_varied_once_before_any_is_twice() -> None:
    wishes = plan(parents(6), kinds_named(["night", "rain"]), 9, 0, ())
    assert [one.parent.path.stem for one in wishes] == [*"012345", *"012"]
    assert {(one.parent.path.stem, one.kind.name) for one in wishes} == {
        *((f"{n}", kind) for n in range(3) for kind in ("night", "rain")),
        *(("3", kind) for kind in (wishes[3].kind.name,)),
        *(("4", kind) for kind in (wishes[4].kind.name,)),
        *(("5", kind) for kind in (wishes[5].kind.name,)),
    }
    assert {one.kind.name for one in wishes[:6]} == {"night", "rain"}


def test_a_kind_is_made_only_of_what_it_fits() -> None:
    wishes = plan(parents(8), kinds_named(["without", "look_alikes"]), 100, 0, ())
    assert {(one.kind.name, one.parent.label) for one in wishes} == {("without", True), ("look_alikes", False)}
    assert len(wishes) == 8


def test_what_was_tried_is_not_tried_again_and_another_seed_is_another_try() -> None:
    kinds = kinds_named(["night"])
    first = plan(parents(4), kinds, 2, 0, ())
    tried = {(one.parent.sha256, one.kind.name, one.seed) for one in first}
    assert [one.parent.path.stem for one in plan(parents(4), kinds, 9, 0, tried)] == ["2", "3"]
    assert len(plan(parents(4), kinds, 9, 1, tried)) == 4


def test_nothing_that_judges_and_no_variation_is_a_parent() -> None:
    real, judged, made, _ = parents(4)
    every = [real, real, replace(judged, split="test"), replace(made, tags={"parent": "ab"})]
    assert parents_of(every) == [real]


@pytest.mark.parametrize(("real", "made", "share", "more"), [(90, 0, 0.1, 10), (90, 4, 0.1, 6), (90, 99, 0.1, 0)])
def test_the_share_of_variations_is_bounded(real: int, made: int, share: float, more: int) -> None:
    assert allowed(real, made, share) == more


def test_labels_follow_the_kind() -> None:
    assert [KINDS[name].label_of(True) for name in ("night", "works", "without")] == [True, True, False]
    assert [KINDS[name].label_of(False) for name in ("night", "works", "look_alikes")] == [False, True, False]


def test_by_default_no_kind_adds_works_or_takes_them_away() -> None:
    """Drawn works cost more right answers than they gained in our own trial (docs/synthetic.md)."""
    chosen = kinds_named(SyntheticSettings().kind_names)
    assert {kind.name for kind in chosen} == {"night", "rain", "fog", "snow", "dirt"}
    assert all(kind.label_of(label) is label for kind in chosen for label in (True, False))


def test_an_unknown_kind_is_told() -> None:
    with pytest.raises(ConfigError, match="'nihgt' is no kind of variation: write night, rain"):
        kinds_named(["nihgt"])
