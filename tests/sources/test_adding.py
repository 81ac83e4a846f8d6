"""From sources into a dataset: whole batches, counted troubles, going on after any end."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streetvision.errors import OperatorError
from streetvision.sources import adding, store
from streetvision.sources.adding import AddReport, add
from streetvision.sources.arranging import arrange
from streetvision.sources.dataset import Dataset, Example
from streetvision.sources.opening import open_dataset
from streetvision.sources.source import Item, SourceError, Unusable
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing
from streetvision.sources.summary import summarize

from .pictures import ListSource, class_folders, jpeg, picture


def added(state: Path, *sources: ListSource, limit: int | None = None) -> list[AddReport]:
    with writing(state / "datasets" / "d") as dataset:
        reports = [add(source, dataset, limit=limit) for source in sources]
        arrange(dataset, Shares())
    return reports


def opened(state: Path) -> Dataset:
    return open_dataset("d", state=state)


def by_key(state: Path) -> dict[str, Example]:
    return {one.sha256[:8]: one for one in opened(state).examples()}


def many(count: int = 40) -> list[Item]:
    return [picture(seed, seed % 2 == 0) for seed in range(count)]


def test_pictures_are_stored_as_they_came_with_what_is_known_of_them(tmp_path: Path) -> None:
    (report,) = added(tmp_path, ListSource(many(), "hub:a/b"))
    assert (report.read, report.new, report.known, report.complete) == (40, 40, 0, True)
    examples = opened(tmp_path).examples()
    assert len(examples) == 40
    assert {one.path.read_bytes() for one in examples} == {jpeg(seed) for seed in range(40)}
    assert {one.source for one in examples} == {"hub:a/b"}
    assert examples[0].tags == {"licence": "CC0-1.0", "labelled_by": "human"}
    assert {one.split for one in examples} == {"train", "val", "test"}


def test_adding_again_changes_nothing(tmp_path: Path) -> None:
    added(tmp_path, ListSource(many(), grows=True))
    before = opened(tmp_path)
    (again,) = added(tmp_path, ListSource(many(), grows=True))
    assert (again.read, again.new, again.known) == (40, 0, 40)
    assert opened(tmp_path).fingerprint == before.fingerprint


def test_a_slow_source_is_stored_as_it_comes(tmp_path: Path) -> None:
    told: list[int] = []
    seconds = iter(range(1000))
    with writing(tmp_path / "d") as dataset:
        add(ListSource(many(9)), dataset, progress=lambda report: told.append(report.read), clock=lambda: next(seconds))
    assert told[-1] == 9
    assert len(told) >= 4


def test_a_source_that_cannot_grow_is_not_read_again(tmp_path: Path) -> None:
    source = ListSource(many())
    added(tmp_path, source, source)
    assert source.asked_after == [None, "0039"]


def test_a_limit_is_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "_BATCH", 8)
    source = ListSource(many(), grows=True)
    first, second = added(tmp_path, source, limit=25)[0], added(tmp_path, source)[0]
    assert (first.read, first.complete, second.read, second.complete) == (25, False, 15, True)
    assert source.asked_after == [None, "0024"]


class Interrupted(ListSource):
    def pictures(self, after: str | None = None) -> Iterator[Item]:
        for number, item in enumerate(super().pictures(after)):
            if number == 20:
                raise KeyboardInterrupt
            yield item


def test_ctrl_c_keeps_whole_batches_and_the_next_reading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "_BATCH", 8)
    with writing(tmp_path / "datasets" / "d") as dataset, pytest.raises(KeyboardInterrupt):
        add(Interrupted(many()), dataset, clock=lambda: 0.0)
    with pytest.raises(SourceError, match="16 pictures of d wait for their split: let the"):
        opened(tmp_path)
    assert summarize(tmp_path / "datasets" / "d").warnings()[0].startswith("16 pictures wait for a split")
    rest = ListSource(many())
    (report,) = added(tmp_path, rest)
    assert (rest.asked_after, report.new) == (["0015"], 24)
    assert len(opened(tmp_path).examples()) == 40


def test_broken_pictures_are_counted_by_reason_and_leave_when_they_break(tmp_path: Path) -> None:
    items = [*many(4), picture(50, True, data=b"no picture"), Unusable("0051", "the row holds no bytes")]
    (report,) = added(tmp_path, ListSource(items, grows=True))
    assert report.unusable == {"the image is not a JPEG, PNG or WebP file": 1, "the row holds no bytes": 1}
    assert len(opened(tmp_path).examples()) == 4
    broken = [picture(0, True, data=b""), *many(4)[1:]]
    added(tmp_path, ListSource(broken, grows=True))
    assert len(opened(tmp_path).examples()) == 3


def test_the_same_bytes_with_contrary_labels_are_left_out(tmp_path: Path) -> None:
    added(tmp_path, ListSource(many(6), "one"), ListSource([picture(3, True), picture(4, True)], "two"))
    assert len(opened(tmp_path).examples()) == 5


def test_where_a_person_spoke_no_oracle_does(tmp_path: Path) -> None:
    said = [replace(picture(seed, True), labelled_by="oracle:one", trust=0.5) for seed in range(4)]
    added(tmp_path, ListSource(said, "an oracle"))
    assert {one.weight for one in opened(tmp_path).examples()} == {0.5}
    added(tmp_path, ListSource([picture(0, False), picture(1, True)], "a person"))
    found = by_key(tmp_path)
    by_person = [one for one in found.values() if one.tags["labelled_by"] == "human"]
    assert sorted(one.label for one in by_person) == [False, True]
    assert {one.weight for one in by_person} == {1.0}
    assert len(found) == 4
    assert summarize(tmp_path / "datasets" / "d").left_out == {}


def test_a_label_that_its_source_corrects_is_corrected(tmp_path: Path) -> None:
    added(tmp_path, ListSource(many(6), grows=True))
    fixed = [picture(seed, True) for seed in range(6)]
    added(tmp_path, ListSource(fixed, grows=True))
    assert [one.label for one in opened(tmp_path).examples()] == [True] * 6


def test_near_duplicates_share_a_split_and_one_weight(tmp_path: Path) -> None:
    copies = [picture(0, True, key=f"copy{q}", data=jpeg(0, q)) for q in (60, 70, 80)]
    added(tmp_path, ListSource([*many(30), *copies]))
    alike = [one for one in opened(tmp_path).examples() if one.weight < 1.0]
    assert len(alike) == 4
    assert {one.weight for one in alike} == {0.25}
    assert len({one.split for one in alike}) == 1


def test_groups_share_a_split_even_over_sources(tmp_path: Path) -> None:
    drives = [picture(seed, seed % 2 == 0, group=f"drive{seed % 10}") for seed in range(100)]
    other = [picture(seed, seed % 3 == 0, group=f"drive{seed % 10}") for seed in range(200, 260)]
    added(tmp_path, ListSource(drives, "one"), ListSource(other, "two"))
    splits: dict[str, set[str]] = {}
    for one in opened(tmp_path).examples():
        splits.setdefault(one.group, set()).add(one.split)
    assert [len(some) for some in splits.values()] == [1] * 10
    assert set().union(*splits.values()) == {"train", "val", "test"}


def test_splits_stay_when_pictures_are_added(tmp_path: Path) -> None:
    added(tmp_path, ListSource(many(40), grows=True))
    before = {one.sha256: one.split for one in opened(tmp_path).examples()}
    added(tmp_path, ListSource(many(120), grows=True))
    after = {one.sha256: one.split for one in opened(tmp_path).examples()}
    assert before.items() <= after.items()
    assert 8 <= sum(split == "val" for split in after.values()) <= 16


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "_BATCH", 8)
    added(tmp_path, ListSource(many(8), grows=True))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_all", full)
        with pytest.raises(SourceError, match="disk is full: free some space and run this again"):
            added(tmp_path, ListSource(many(), grows=True))
    assert len(opened(tmp_path).examples()) == 8
    assert [path.name for path in tmp_path.rglob(".*")] == [".lock"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("streetvision.base.disk.os.open", read_only)
    with pytest.raises(SourceError, match="its folder cannot be written: correct its owner"):
        added(tmp_path, ListSource(many(1)))


def test_a_damaged_database_is_one_sentence(tmp_path: Path) -> None:
    added(tmp_path, ListSource(many(4)))
    (tmp_path / "datasets" / "d" / "dataset.sqlite").write_bytes(b"nonsense" * 1000)
    with pytest.raises(SourceError, match="damaged: remove it with `streetvision data rm`"):
        opened(tmp_path)


def test_an_unknown_dataset_names_the_nearest(tmp_path: Path) -> None:
    added(tmp_path, ListSource(many(4)))
    (tmp_path / "datasets" / "d").rename(tmp_path / "datasets" / "streets")
    with pytest.raises(SourceError, match=r"no dataset 'street': did you mean streets\?$"):
        open_dataset("street", state=tmp_path)
    with pytest.raises(SourceError, match="no name for a dataset"):
        open_dataset("Streets!", state=tmp_path)


def test_a_folder_is_read_as_it_lies_and_nothing_is_written(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pictures")
    (folder / "none" / "again.jpg").write_bytes(jpeg(0))
    (folder / "none" / "broken.jpg").write_bytes(b"broken")
    before = sorted(tmp_path.rglob("*"))
    dataset = open_dataset(str(folder), state=tmp_path / "state")
    assert len(dataset.examples()) == len(dataset.examples("test")) == 7
    assert dataset.examples("train") == []
    assert sorted(tmp_path.rglob("*")) == before


def test_one_process_writes_a_dataset_and_others_may_read_it(tmp_path: Path) -> None:
    added(tmp_path, ListSource(many(4)))
    with writing(tmp_path / "datasets" / "d"):
        assert len(opened(tmp_path).examples()) == 4
        with pytest.raises(OperatorError, match="Another streetvision command is changing"):
            added(tmp_path, ListSource(many(4)))


def test_a_dataset_on_a_read_only_disk_is_read(tmp_path: Path) -> None:
    added(tmp_path, ListSource(many(4)))
    folder = tmp_path / "datasets" / "d"
    (folder / "dataset.sqlite").chmod(0o400)
    folder.chmod(0o500)
    try:
        assert len(opened(tmp_path).examples()) == 4
    finally:
        folder.chmod(0o700)


def test_a_newer_dataset_says_what_to_do(tmp_path: Path) -> None:
    added(tmp_path, ListSource(many(4)))
    with sqlite3.connect(tmp_path / "datasets" / "d" / "dataset.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(OperatorError, match="upgrade streetvision, or add its sources again"):
        opened(tmp_path)
