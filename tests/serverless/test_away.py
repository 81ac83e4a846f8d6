"""A training that learns elsewhere: the same weights as here, bounded by money, stopped and resumed, ended here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("lightning", reason="the extra `train` is not installed")

from streetvision.cost.prices import read_prices
from streetvision.errors import OperatorError
from streetvision.serverless.away import learn_away, listing, stored_name
from streetvision.serverless.learning import Bound
from streetvision.serverless.money import CORES, MEMORY_GIB, SHORTEST_S, START_S, Money, money_of
from streetvision.settings.modal import ModalSettings
from streetvision.training.fit import learn
from streetvision.training.keeping import Stopped
from streetvision.training.pictures import Pictures, gather
from streetvision.training.run_folder import DONE, FAILED, STOPPED, RunFolder
from streetvision.training.running import train

from ..training.pictures import drawn_set, small_run
from ..training.test_fit import around, quick
from .folder_place import FolderPlace

PAID = Money(10.0, 0.001)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return gather([drawn_set(tmp_path / "set")])


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(tmp_path / "volume")


@pytest.fixture
def run(tmp_path: Path, pictures: Pictures) -> RunFolder:
    return small_run(tmp_path / "state", quick("head"), pictures)


def test_what_was_learnt_there_is_what_would_have_been_learnt_here(
    tmp_path: Path, pictures: Pictures, place: FolderPlace, run: RunFolder
) -> None:
    here = small_run(tmp_path / "here", quick("head"), pictures)
    learn(here, pictures, lambda _: None, accelerator="cpu")
    told = list[dict[str, Any]]()
    state = around(tmp_path / "state", told)
    learn_away(run, pictures, state, place, PAID)
    expected, found = load_file(here.best), load_file(run.best)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert [line["step"] for line in run.metrics()] == [line["step"] for line in here.metrics()]
    assert {"progress", "validation"} <= {event["event"] for event in told}
    added = train(run, None, state)
    assert (added.servable, run.record().state) == (True, DONE)
    assert run.record().seconds > 0


def test_what_cannot_become_a_version_is_refused_before_anything_is_paid(
    tmp_path: Path, pictures: Pictures, place: FolderPlace, run: RunFolder
) -> None:
    state = around(tmp_path / "state")
    before = small_run(tmp_path / "before", quick("head"), pictures, started="2026-11-30T10:00:00+00:00")
    taken = train(before, pictures, state)
    learning = partial(learn_away, place=place, money=PAID)
    with pytest.raises(OperatorError, match=f"{taken.version} exists already"):
        train(run, pictures, state, version=taken.version, learning=learning)
    assert place.sent == []
    added = train(run, pictures, state, version="7.0.0", learning=learning)
    assert (added.version, run.record().state) == ("7.0.0", DONE)


def test_pictures_are_sent_once(tmp_path: Path, pictures: Pictures, place: FolderPlace, run: RunFolder) -> None:
    learn_away(run, pictures, around(tmp_path / "state"), place, PAID)
    first = [name for name in place.sent if name.startswith("pictures/")]
    assert len(first) == len({example.sha256 for example in (*pictures.train, *pictures.val)})
    place.sent.clear()
    another = small_run(tmp_path / "another", quick("head"), pictures)
    learn_away(another, pictures, around(tmp_path / "another"), place, PAID)
    assert [name for name in place.sent if name.startswith("pictures/")] == []


def test_spent_money_stops_it_and_it_goes_on_later(
    tmp_path: Path, pictures: Pictures, place: FolderPlace, run: RunFolder
) -> None:
    place.seconds = 0.0
    state = around(tmp_path / "state")
    with pytest.raises(Stopped, match="the money for this training is spent after step"):
        learn_away(run, pictures, state, place, PAID)
    assert run.record().state == STOPPED
    assert run.last.is_file()
    before = run.record().step
    place.seconds = None
    learn_away(run, pictures, state, place, PAID)
    assert run.record().step == run.record().total_steps > before
    assert train(run, None, state).servable


def test_ctrl_c_is_told_there(tmp_path: Path, pictures: Pictures, place: FolderPlace, run: RunFolder) -> None:
    long = small_run(tmp_path / "long", quick("full", optimiser={"epochs": 1000}), pictures)
    with pytest.raises(Stopped, match="stopped as asked"):
        learn_away(long, pictures, around(tmp_path / "long", stop=lambda: True), place, PAID)


def test_a_failure_there_is_its_own_sentence(
    tmp_path: Path, pictures: Pictures, place: FolderPlace, run: RunFolder
) -> None:
    run.last.write_bytes(b"junk")
    with pytest.raises(OperatorError, match=r"last\.ckpt cannot be read"):
        learn_away(run, pictures, around(tmp_path / "state"), place, PAID)
    assert run.record().state == FAILED


def test_a_container_that_ends_without_a_word(
    tmp_path: Path, pictures: Pictures, place: FolderPlace, run: RunFolder
) -> None:
    place.silent = True
    with pytest.raises(OperatorError, match="ended without a word"):
        learn_away(run, pictures, around(tmp_path / "state"), place, PAID)
    assert run.record().state == FAILED
    assert run.best.is_file()  # what was saved there is here


def test_several_gpus_are_refused(tmp_path: Path, pictures: Pictures, place: FolderPlace) -> None:
    run = small_run(tmp_path / "state", quick("full", run={"devices": 2}), pictures)
    with pytest.raises(OperatorError, match="one GPU"):
        learn_away(run, pictures, around(tmp_path / "state"), place, PAID)
    assert place.sent == []


def test_too_little_money_buys_nothing(tmp_path: Path, pictures: Pictures, place: FolderPlace, run: RunFolder) -> None:
    with pytest.raises(OperatorError, match=r"\$0.01 buys no training .* at least 0.42 with --usd"):
        learn_away(run, pictures, around(tmp_path / "state"), place, Money(0.01, 0.001))
    assert place.sent == []


def test_money_is_by_the_price_table() -> None:
    found = money_of(ModalSettings(card="h100"), 5.0, read_prices())
    assert found.per_s == pytest.approx(read_prices().container_second("h100", CORES, MEMORY_GIB))
    assert found.seconds == pytest.approx(5.0 / found.per_s - START_S)
    assert found.seconds > SHORTEST_S


def test_a_picture_without_a_digest_is_refused(pictures: Pictures) -> None:
    with pytest.raises(OperatorError, match="streetvision data add"):
        stored_name(replace(pictures.train[0], sha256=""))


def test_a_listing_tells_nothing_of_where_pictures_lie_here(pictures: Pictures, tmp_path: Path) -> None:
    text = listing(pictures.train).decode()
    assert str(tmp_path) not in text
    assert json.loads(text.splitlines()[0])["path"] == f"/pictures/{stored_name(pictures.train[0])}"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def bound(clock: Callable[[], float], wished: Callable[[], bool], seconds: float = 100.0) -> Bound:
    return Bound(wished, seconds, clock)


def test_the_wish_is_asked_for_now_and_then() -> None:
    clock, asked = Clock(), list[float]()
    found = bound(clock, lambda: asked.append(clock.now) or False)  # type: ignore[func-returns-value]
    for second in range(20):
        clock.now = second
        assert not found()
    assert asked == [0, 5, 10, 15]


def test_time_that_is_over_stops_and_stays() -> None:
    clock = Clock()
    found = bound(clock, lambda: False, 10.0)
    clock.now = 10.0
    assert found()
    clock.now = 0.0
    assert found()
    assert found.why == "the money for this training is spent"
