"""`streetvision label` as an operator types it, from a real log to a dataset, against the fake server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_oracle import MODEL, FakeOracle, saying, serving
from PIL import Image

from streetvision.labelling.asking import utc_now
from streetvision.labelling.store import Cost, LabellingStore
from streetvision.mining.training_set import LABELS, MANIFEST
from streetvision.sources.adding import add
from streetvision.sources.arranging import arrange
from streetvision.sources.folder import open_folder
from streetvision.sources.place import dataset_folder
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing
from streetvision.sources.stored import StoredDataset

from .conftest import seen_jpeg

Run = Callable[..., tuple[int, str, str]]


def looks(data: bytes) -> Mapping[str, Any]:
    """An oracle that takes bright pictures for roadwork."""
    with Image.open(BytesIO(data)) as image:
        roadwork = np.asarray(image).mean() > 128
    return {
        "objects": ["cone"] if roadwork else [],
        "reason": "as it looks",
        "roadwork": bool(roadwork),
        "certainty": 0.97,
    }


@pytest.fixture
def oracle() -> Iterator[FakeOracle]:
    with serving(says=looks) as server:
        yield server


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oracle: FakeOracle) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ORACLE_URL", oracle.url)
    monkeypatch.setenv("ORACLE_MODEL", MODEL)
    monkeypatch.setenv("ORACLE_CROPS", "0")
    return tmp_path / "state"


@pytest.fixture
def run(state: Path, command: Run) -> Run:
    def label(*arguments: str) -> tuple[int, str, str]:
        return command("label", *arguments)

    return label


def fill(folder: Path, count: int, first: int = 0) -> None:
    """Pictures in folders of their classes: bright ones are roadwork."""
    for number in range(first, first + count):
        name = ("none", "roadwork")[number % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{number}.jpg").write_bytes(seen_jpeg(number, bright=bool(number % 2)))


def store(state: Path, name: str, folder: Path) -> StoredDataset:
    place = dataset_folder(name, state)
    with writing(place) as written:
        add(open_folder(folder), written)
        arrange(written, Shares())
    return StoredDataset(place)


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_folder_is_labelled_at_a_price_that_was_agreed_to(
    run: Run, oracle: FakeOracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "new", 4)
    monkeypatch.setenv("ORACLE_INPUT_PRICE", "1000")
    monkeypatch.setenv("ORACLE_PRICE_DATE", "2020-01-01")
    code, _, err = run("run", "new")
    assert code == 1
    assert "4 questions to fake-vl@" in err
    assert "of money by the prices of 2020-01-01" in err
    assert "look them up" in err
    assert "say --yes" in err
    assert not oracle.charged
    code, out, _ = run("run", "new", "--yes", "--json")
    estimated, report = lines(out)
    assert code == 0
    assert (estimated["questions"], report["answered"]) == (4, 4)
    assert report["cost"]["money"] == pytest.approx(4.0)
    code, out, _ = run("run", "new")
    assert (code, "4 of them answered before" in out) == (0, True)


def test_the_oracle_is_measured_by_people_and_its_labels_become_a_dataset(
    run: Run, state: Path, tmp_path: Path
) -> None:
    fill(tmp_path / "known", 40)
    fill(tmp_path / "new", 6, first=100)
    store(state, "known", tmp_path / "known")
    code, _, err = run("run", "new", "--yes")
    assert code == 0, err
    code, _, err = run("export", "--name", "by-oracle", "--source", "new")
    assert (code, "there is nothing to export" in err) == (1, True)
    assert "compared with people's labels: 0 pictures" in run("stats")[1]
    assert run("run", "known", "--yes")[0] == 0
    code, out, _ = run("stats", "--json")
    (stats,) = lines(out)
    assert stats["errors"]["roadwork"] == stats["errors"]["roadwork"] | {"pictures": 20, "wrong": 0, "witnesses": 20}
    assert stats["taught"] == 6
    assert "label more that it calls roadwork" in run("stats")[1]
    code, out, _ = run("export", "--name", "by-oracle", "--source", "new", "--json")
    assert lines(out) == [{"dataset": "by-oracle", "read": 6, "new": 6}]
    examples = StoredDataset(dataset_folder("by-oracle", state)).examples()
    assert {one.split for one in examples} == {"train"}
    assert {one.tags["labelled_by"].partition("@")[0] for one in examples} == {"oracle:fake-vl"}
    assert all(0.3 < one.weight < 0.7 for one in examples)
    assert all(one.label == (one.tags.get("objects") == "cone") for one in examples)


def test_what_people_said_in_the_app_counts_and_stays(run: Run, state: Path, tmp_path: Path) -> None:
    fill(tmp_path / "new", 4)
    bright = hashlib.sha256((tmp_path / "new" / "roadwork" / "1.jpg").read_bytes()).hexdigest()
    assert run("run", "new", "--yes")[0] == 0
    version = state / "training" / "v0001"
    version.mkdir(parents=True)
    (version / LABELS).write_text(json.dumps({"image": "a", "sha256": bright, "label": "none"}) + "\n")
    (version / MANIFEST).write_text("{}")
    code, out, _ = run("review", "--json")
    *rows, report = lines(out)
    assert (code, report) == (0, {"kind": "review", "pictures": 1, "in_view": None})
    assert rows[0]["sha256"] == bright
    assert rows[0]["human"] is False
    assert "a person said none" in run("review")[1]
    (tmp_path / "new" / "roadwork" / "1.jpg").unlink()
    assert "agree, or nothing was asked yet" in run("review")[1]


def test_lost_questions_are_repeated_when_it_is_wanted(
    run: Run, state: Path, oracle: FakeOracle, tmp_path: Path
) -> None:
    fill(tmp_path / "new", 1)
    assert run("run", "new", "--yes")[0] == 0
    with LabellingStore(state) as store:
        (asker,) = store._db.execute("SELECT asker FROM questions").fetchone()
        store.open(asker, "f" * 64, 0, Cost(10, 0.0), utc_now())
    assert run("run", "new", "--yes")[0] == 0
    with LabellingStore(state) as store:
        assert store.states(asker) == {"answered": 1, "lost": 1}
    assert run("run", "new", "--yes", "--again")[0] == 0
    with LabellingStore(state) as store:
        assert store.states(asker) == {"answered": 1}
    assert oracle.double == 0


def test_a_bound_ends_a_run_and_says_so(
    run: Run, oracle: FakeOracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "new", 3)
    monkeypatch.setenv("ORACLE_DAY_TOKENS", "100")
    code, _, err = run("run", "new", "--yes")
    assert (code, "ORACLE_DAY_TOKENS" in err) == (1, True)
    assert not oracle.charged


def test_answers_that_are_none_are_told(run: Run, oracle: FakeOracle, tmp_path: Path) -> None:
    oracle.behaviours.append(saying("\x1b[31mred"))
    fill(tmp_path / "new", 2)
    code, out, _ = run("run", "new", "--yes")
    assert code == 0
    assert "1 answers were none, and paid" in out
    assert "\x1b" not in out


@pytest.mark.parametrize("words", [("run",), ("review",), ("stats",), ("export", "--name", "a")])
def test_nobody_to_ask(run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.delenv("ORACLE_URL")
    monkeypatch.delenv("ORACLE_MODEL")
    code, _, err = run(*words)
    assert (code, "no oracle is configured" in err) == (1, True)


def test_a_source_that_is_none(run: Run) -> None:
    code, _, err = run("run", "nowhere", "--yes")
    assert (code, "is neither a dataset nor a folder" in err) == (1, True)
    code, _, err = run("run", "--yes")
    assert (code, "there is no prediction log" in err) == (1, True)
    code, _, err = run("export", "--name", "a", "--source", "~nobody-here/x")
    assert (code, "a user that does not exist" in err) == (1, True)


def test_files_that_are_left_out_are_told(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "new", 2)
    (tmp_path / "new" / "gone.jpg").symlink_to(tmp_path / "elsewhere")
    code, _, err = run("run", "new", "--yes")
    assert (code, "1 files are left out, such as gone.jpg (the file lies outside the folder)" in err) == (0, True)


def test_examples_are_shown_with_every_question(
    run: Run, state: Path, oracle: FakeOracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "known", 10)
    store(state, "known", tmp_path / "known")
    monkeypatch.setenv("ORACLE_EXAMPLES", "known")
    monkeypatch.setenv("ORACLE_SHOTS", "4")
    assert run("run", "known", "--yes")[0] == 0
    _, _, body = oracle.requests[0]
    shown = [part["text"] for part in body["messages"][1]["content"] if part["type"] == "text"]
    assert shown == [
        *("Pictures that people labelled:", "Roadwork: yes.", "Roadwork: no.", "Roadwork: yes.", "Roadwork: no."),
        "Judge this picture.",
    ]
    (stats,) = lines(run("stats", "--json")[1])
    assert sum(one["pictures"] for one in stats["errors"].values()) == 6  # the four that it was told do not count
