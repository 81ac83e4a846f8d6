"""From wishes to a set: checked, recorded before it is asked for, within bounds, and whole whatever ends it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streetvision.errors import OperatorError
from streetvision.labelling.oracle import Label, LabelQuestion, NoOracle, Opinion
from streetvision.sources.made import MadePictures
from streetvision.sources.source import SourcePicture
from streetvision.synthesis.back_end import Declined, NotSent, Order
from streetvision.synthesis.back_ends.local import Local
from streetvision.synthesis.kinds import KINDS, Kind
from streetvision.synthesis.making import STOPPED, Bounds, Maker
from streetvision.synthesis.pixels import write_pixels
from streetvision.synthesis.planning import Wish, plan
from streetvision.synthesis.schema import DATABASE, FOLDER
from streetvision.synthesis.store import SynthesisStore, open_store

from .streets import example, street

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@dataclass
class Generator:
    """Answers with another street for each order, or with what `answer` makes of it."""

    answer: Callable[[Order], bytes] = lambda order: write_pixels(street(order.seed % 1000 + 5))
    remote: bool = True
    orders: list[Order] = field(default_factory=list)
    name: str = "a generator 1"
    kinds: frozenset[str] = frozenset(KINDS)

    def sure(self, kind: Kind) -> bool:
        return False

    def check(self) -> str:
        return "ready"

    def make(self, order: Order) -> bytes:
        self.orders.append(order)
        return self.answer(order)

    def close(self) -> None:
        pass


@dataclass
class Oracle:
    says: Label
    name: str = "an oracle"

    def judge(self, questions: Sequence[LabelQuestion]) -> Sequence[Opinion | None]:
        assert all(question.path.is_file() for question in questions)
        return [Opinion(self.says, 0.9) for _ in questions]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SynthesisStore]:
    with open_store(tmp_path / "state") as opened:
        yield opened


def wishes(folder: Path, count: int, kind: str = "night", *, label: bool | None = None) -> list[Wish]:
    return plan([example(folder, n, label=label) for n in range(count)], [KINDS[kind]], count, 0, ())


def maker(store: SynthesisStore, back_end: object, says: Label = "roadwork", **more: Bounds) -> Maker:
    return Maker(store, "v1", back_end, Oracle(says), now=lambda: NOW, **more)  # type: ignore[arg-type]


def items(store: SynthesisStore) -> list[SourcePicture]:
    found = list(MadePictures(store.set_folder("v1")).pictures())
    assert all(isinstance(one, SourcePicture) for one in found)
    return [one for one in found if isinstance(one, SourcePicture)]


def test_a_variation_says_what_it_is_made_of_and_shares_its_parents_group(
    store: SynthesisStore, tmp_path: Path
) -> None:
    (wish,) = wishes(tmp_path, 1)
    report = Maker(store, "v1", Local(), NoOracle()).make([wish])
    assert (dict(report.kept), report.spent, report.ended) == ({"night": 1}, 0.0, "")
    (only,) = items(store)
    assert (only.label, only.group, only.licence, only.trust) == (True, "place 0", "MIT", 0.5)
    assert only.labelled_by == "synthetic local 1"
    assert only.tags["parent"] == wish.parent.sha256
    assert (only.tags["seed"], only.tags["back_end"]) == (str(wish.seed), "local 1")
    assert only.tags["prompt"].startswith("The same street photographed from the same place at night")


def test_what_the_oracle_contradicts_is_dropped_with_its_file(store: SynthesisStore, tmp_path: Path) -> None:
    report = maker(store, Generator(), "none").make(wishes(tmp_path, 2, label=True))
    assert dict(report.left_out) == {"night: an oracle sees none in it": 2}
    assert not list(store.set_folder("v1").glob("*.jpg"))
    assert store.stats("v1")["kinds"] == {"night": {"dropped": 2}}


def test_an_oracle_that_cannot_be_asked_leaves_no_picture(store: SynthesisStore, tmp_path: Path) -> None:
    class Silent(Oracle):
        def judge(self, questions: Sequence[LabelQuestion]) -> Sequence[Opinion | None]:
            raise OperatorError("it does not answer: try later")

    with pytest.raises(OperatorError, match="does not answer"):
        Maker(store, "v1", Generator(), Silent("none")).make(wishes(tmp_path, 1))
    assert not list(store.set_folder("v1").glob("*.jpg"))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda order: order.picture, "near copy of its parent"),
        (lambda _: b"<html>", "it is no picture"),
        (lambda order: order.picture[:-200], "it is no picture"),
    ],
)
def test_what_is_no_new_picture_is_dropped(
    store: SynthesisStore, tmp_path: Path, answer: Callable[[Order], bytes], why: str
) -> None:
    report = maker(store, Generator(answer)).make(wishes(tmp_path, 1))
    assert [why in one for one in report.left_out] == [True]
    assert items(store) == []


def test_the_same_picture_twice_is_kept_once(store: SynthesisStore, tmp_path: Path) -> None:
    same = write_pixels(street(77))
    report = maker(store, Generator(lambda _: same)).make(wishes(tmp_path, 3, label=True))
    assert (report.kept.total(), report.left_out.total()) == (1, 2)


def test_money_is_counted_before_anything_is_sent_and_bounded_by_the_month(
    store: SynthesisStore, tmp_path: Path
) -> None:
    generator = Generator()
    bounds = Bounds(price=0.4, budget=1.0)
    report = maker(store, generator, bounds=bounds).make(wishes(tmp_path, 5, label=True))
    assert len(generator.orders) == 2
    assert report.spent == pytest.approx(0.8)
    assert report.ended.startswith("0.80 of 1.00 of money spent this month")
    assert store.spent("2026-11") == pytest.approx(0.8)
    assert store.spent("2026-12") == 0.0


def test_so_many_pictures_a_day_leave_the_machine(store: SynthesisStore, tmp_path: Path) -> None:
    generator = Generator()
    report = maker(store, generator, bounds=Bounds(daily=2)).make(wishes(tmp_path, 5, label=True))
    assert len(generator.orders) == 2
    assert "2 pictures were sent today" in report.ended


def refusing(error: Exception) -> Callable[[Order], bytes]:
    def answer(_: Order) -> bytes:
        raise error

    return answer


def test_an_order_that_surely_cost_nothing_is_free(store: SynthesisStore, tmp_path: Path) -> None:
    bounds = Bounds(price=1.0, budget=10.0)
    for error, spent in ((Declined("filtered"), 2.0), (Declined("refused", free=True), 0.0)):
        first = spent != 0.0
        some = wishes(tmp_path, 2, "night" if first else "rain", label=True)
        report = maker(store, Generator(refusing(error)), bounds=bounds).make(some)
        assert report.spent == spent
    assert store.spent("2026-11") == 2.0


def test_a_back_end_that_is_not_there_ends_it_and_leaves_no_mark(store: SynthesisStore, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no connection"):
        maker(store, Generator(refusing(NotSent("no connection: start it")))).make(wishes(tmp_path, 2))
    assert store.tried("v1", "a generator 1") == frozenset()
    assert items(store) == []


class Killed(BaseException):
    pass


def test_what_a_killed_process_may_have_paid_is_spent_and_not_asked_again(tmp_path: Path) -> None:
    some = wishes(tmp_path, 3, label=True)
    bounds = Bounds(price=1.0, budget=10.0)
    with suppress(Killed), open_store(tmp_path / "state") as store:
        maker(store, Generator(refusing(Killed())), bounds=bounds).make(some)  # type: ignore[arg-type]
    with open_store(tmp_path / "state") as store:
        assert store.spent("2026-11") == 1.0
        assert store.stats("v1")["kinds"] == {"night": {"unknown": 1}}
        left = plan([one.parent for one in some], [KINDS["night"]], 9, 0, store.tried("v1", "a generator 1"))
        assert [one.parent for one in left] == [one.parent for one in some[1:]]


def test_what_costs_nothing_is_tried_again_after_a_kill(tmp_path: Path) -> None:
    with suppress(Killed), open_store(tmp_path / "state") as store:
        maker(store, Generator(refusing(Killed()))).make(wishes(tmp_path, 1))  # type: ignore[arg-type]
    with open_store(tmp_path / "state") as store:
        assert store.tried("v1", "a generator 1") == frozenset()


def test_it_stops_between_two_and_what_was_made_is_listed(store: SynthesisStore, tmp_path: Path) -> None:
    generator = Generator()
    report = maker(store, generator).make(wishes(tmp_path, 4, label=True), stop=lambda: len(generator.orders) == 2)
    assert report.ended == STOPPED
    assert len(items(store)) == 2


def test_a_parent_that_went_is_told(store: SynthesisStore, tmp_path: Path) -> None:
    some = wishes(tmp_path, 1)
    some[0].parent.path.unlink()
    report = maker(store, Generator()).make(some)
    assert [one.startswith("night: its parent cannot be read") for one in report.left_out] == [True]


def test_one_process_at_a_time(store: SynthesisStore, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="another synthesise is running"), open_store(tmp_path / "state"):
        pass


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / DATABASE).write_bytes(b"no database at all, but long enough to be looked at" * 40)
    with pytest.raises(OperatorError, match="damaged: move it away"), open_store(tmp_path):
        pass


def test_a_full_disk_is_told_and_leaves_nothing_half_written(small_disk: Path, tmp_path: Path) -> None:
    some = wishes(tmp_path, 2, label=True)
    with pytest.raises(OperatorError, match="full"), open_store(small_disk) as store:
        (small_disk / "filler").write_bytes(bytes(small_disk.stat().st_blksize))
        with suppress(OSError), (small_disk / "filler").open("wb") as file:
            while True:
                file.write(bytes(4096))
        maker(store, Generator()).make(some)
    (small_disk / "filler").unlink()
    with open_store(small_disk) as store:
        assert maker(store, Generator()).make(some).kept.total() == 2


def test_a_name_cannot_leave_the_folder(store: SynthesisStore) -> None:
    with pytest.raises(OperatorError, match="no name for a dataset"):
        store.set_folder("../other")


def test_the_record_is_a_database_that_others_may_read(store: SynthesisStore, tmp_path: Path) -> None:
    maker(store, Generator()).make(wishes(tmp_path, 1, label=True))
    with sqlite3.connect(tmp_path / "state" / FOLDER / DATABASE) as db:
        assert db.execute("SELECT kind, outcome, remote FROM attempts").fetchall() == [("night", "kept", 1)]
