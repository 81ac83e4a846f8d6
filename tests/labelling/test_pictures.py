"""Which pictures are asked about, from a dataset and a folder; and the seam for whoever has its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fake_oracle import saying, serving, silence
from loguru import logger

from streetvision.errors import OperatorError
from streetvision.labelling.chat_oracle import ChatOracle
from streetvision.labelling.labelled import OracleLabels
from streetvision.labelling.oracle import LabelOracle, LabelQuestion, NoOracle
from streetvision.labelling.pictures import LOG, app_labels, distinct, named_pictures
from streetvision.labelling.reading import read_verdicts
from streetvision.labelling.verdicts import judge
from streetvision.settings.oracle import OracleSettings
from streetvision.sources.adding import add
from streetvision.sources.arranging import arrange
from streetvision.sources.made import RECORDS, MadePictures
from streetvision.sources.place import dataset_folder
from streetvision.sources.source import SourceError, Unusable
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing

from .conftest import draw, seen_jpeg, settings
from .test_judging import asked


def test_a_dataset_gives_labels_of_people_alone(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    records: list[dict[str, object]] = [
        {"file": "a.jpg", "label": "roadwork", "made_by": "people", "labelled_by": "human", "trust": 1.0, "group": "g"},
        {"file": "b.jpg", "label": "roadwork", "made_by": "a painter", "group": "g"},
    ]
    for number, record in enumerate(records):
        (made / str(record["file"])).write_bytes(seen_jpeg(number, bright=True))
    (made / RECORDS).write_text("".join(json.dumps(one) + "\n" for one in records))
    with writing(dataset_folder("some", tmp_path)) as store:
        add(MadePictures(made), store)
        arrange(store, Shares())
    found = {one.human for one in named_pictures("some", tmp_path)}
    assert found == {True, None}
    assert {one.place for one in named_pictures("some", tmp_path)} == {f"made:{made} g"}


def test_a_folder_gives_its_pictures(tmp_path: Path) -> None:
    fresh = draw(tmp_path / "new", 3)
    assert {one.sha256 for one in named_pictures(str(tmp_path / "new"), tmp_path)} == {one.sha256 for one in fresh}
    with pytest.raises(SourceError, match="neither a dataset nor a folder"):
        list(named_pictures("nowhere", tmp_path))
    with pytest.raises(OperatorError, match="a user that does not exist"):
        list(named_pictures("~nobody-here/new", tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no picture"):
        list(named_pictures(str(tmp_path / "empty"), tmp_path))


def test_names_that_are_not_utf_8_are_left_out_and_told(tmp_path: Path) -> None:
    (sound,) = draw(tmp_path / "new", 1)
    odd = os.fsdecode(b"\xff")
    (tmp_path / "new" / f"{odd}.jpg").write_bytes(b"")
    told: list[Unusable] = []
    assert [one.sha256 for one in named_pictures(str(tmp_path / "new"), tmp_path, told.append)] == [sound.sha256]
    assert [(one.key.isascii(), one.reason) for one in told] == [(True, "its name is not UTF-8")]
    draw(tmp_path / odd, 1)
    with pytest.raises(SourceError, match="is not UTF-8: rename it"):
        list(named_pictures(str(tmp_path / odd), tmp_path))


def test_each_picture_is_asked_about_once(tmp_path: Path) -> None:
    first, second, third = draw(tmp_path / "new", 3)
    labelled = [*draw(tmp_path / "known", 1, human=True)]
    assert [one.human for one in distinct([first, second, *labelled])] == [True, None]
    assert distinct([first, first, second, third], 2) == [first, second]


def test_labels_of_the_app_are_those_of_the_newest_export(tmp_path: Path) -> None:
    assert app_labels(tmp_path) == {}
    for number, label in ((1, "none"), (2, "roadwork")):
        folder = tmp_path / f"v000{number}"
        folder.mkdir()
        lines = [{"sha256": "a", "label": label}, {"sha256": "b", "label": ["none"]}]
        (folder / "labels.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert app_labels(tmp_path) == {"a": True}


def test_only_what_can_be_believed_is_given_to_learn_from(tmp_path: Path) -> None:
    known = [asked(f"known {i}", p, human=p > 0.5) for i in range(100) for p in (0.02, 0.98)]
    verdicts = judge("one@1", [asked("new", 0.98), asked("unsure", 0.5), *known])
    (new,) = [one for one in verdicts.pictures if one.picture.sha256 == "new"]
    assert new.trust > 0.8
    source = OracleLabels(verdicts, LOG)
    assert source.name == "oracle:one@1"
    assert len(source) == 0  # its file is gone


def test_the_seam_answers_once_and_for_all(tmp_path: Path) -> None:
    pictures = draw(tmp_path / "new", 3)
    questions = [LabelQuestion(one.sha256, one.path) for one in pictures]
    with serving(saying("no idea")) as server:
        oracle: LabelOracle = ChatOracle(settings(server), tmp_path / "state")
        first, second = oracle.judge(questions), oracle.judge(questions)
        assert oracle.judge(questions * 2) == [*first, *first]
    assert first == second
    assert first[0] is None
    assert [one and (one.label, one.remark) for one in first[1:]] == [("roadwork", "cones close a lane")] * 2
    assert len(server.requests) == 3
    assert oracle.name.startswith("fake-vl@")
    assert NoOracle().judge(questions) == [None] * 3


def test_the_seam_keeps_to_the_bounds_and_says_so(tmp_path: Path) -> None:
    pictures = draw(tmp_path / "new", 2)
    said: list[str] = []
    sink = logger.add(said.append, format="{message}")
    with serving() as server:
        oracle = ChatOracle(settings(server, day_tokens=2500), tmp_path / "state")
        opinions = oracle.judge([LabelQuestion(one.sha256, one.path) for one in pictures])
    logger.remove(sink)
    assert [one is None for one in opinions] == [False, True]
    assert "raise ORACLE_DAY_TOKENS" in "".join(said)
    assert server.charged.total() == 1


def test_the_seam_says_when_nobody_answers(tmp_path: Path) -> None:
    (picture,) = draw(tmp_path / "new", 1)
    with serving(silence) as server:
        oracle = ChatOracle(settings(server, timeout_s=1.0), tmp_path / "state")
        assert oracle.judge([LabelQuestion(picture.sha256, picture.path)]) == [None]
    with pytest.raises(OperatorError, match="no oracle is configured"):
        ChatOracle(OracleSettings(), tmp_path / "state")


def test_verdicts_are_read_while_nothing_was_asked(tmp_path: Path) -> None:
    with serving() as server:
        assert read_verdicts(settings(server), tmp_path / "state").pictures == ()
    assert not (tmp_path / "state").exists()
