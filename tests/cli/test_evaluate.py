"""`streetvision evaluate` from a folder of pictures to the table, the page and a calibrated version."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.folder import read_config
from streetvision.models.network import build, tiny_config
from streetvision.sources.adding import add
from streetvision.sources.arranging import arrange
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing

from ..photos import photos
from ..sources.pictures import ListSource, picture

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, command: Run, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(tmp_path / "state"))
    return lambda *arguments: command("evaluate", *arguments, "--device", "cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        config = replace(tiny_config(version=f"1.{seed}.0", depth=1, width=64), input_size=32)
        folder = tmp_path_factory.mktemp("models") / "model"
        save_checkpoint(folder, config, build(config).state_dict())
        made.append(str(folder))
    return made


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    """Twelve pictures in six groups, and one that is none."""
    for place, data in enumerate(photos(12, size=(64, 48))):
        path = tmp_path / "streets" / ("roadwork" if place % 2 else "none") / f"drive-{place // 2}" / f"{place}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "streets" / "none" / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    return tmp_path / "streets"


def test_a_model_is_judged_on_a_folder(run: Run, models: list[str], streets: Path) -> None:
    code, out, err = run(models[0], "streets")
    assert code == 0, err
    assert "12 pictures, 6 with roadwork, in 6 groups; 1 could not be read" in out
    assert all(f"  {word} " in out for word in ("accuracy", "MCC", "AUC", "recall", "ECE", "reward"))


def test_json_and_page_of_a_comparison(run: Run, models: list[str], streets: Path, tmp_path: Path) -> None:
    code, out, err = run(
        models[0], "streets", "--against", models[1], "--robustness", "2", "--report", "page.html", "--json"
    )
    assert (code, err) == (0, "page.html: the report, to be opened in a browser\n")
    (told,) = json.loads(out)["datasets"]
    assert told["pictures"] == 12
    assert told["comparison"]["verdict"] == "undecided"
    assert {one["pictures"] for one in told["robustness"]} == {2}
    page = (tmp_path / "page.html").read_text()
    assert "Undecided between" in page
    assert "data:image/jpeg;base64," in page


def test_datasets_are_told_apart(run: Run, models: list[str], streets: Path, tmp_path: Path) -> None:
    second = tmp_path / "more" / "none"
    second.mkdir(parents=True)
    for place, data in enumerate(photos(3, seed=4)):
        (second / f"{place}.jpg").write_bytes(data)
    code, out, _ = run(models[0], "streets", "more")
    assert code == 0
    assert "on streets: 12 pictures" in out
    assert "on more: 3 pictures" in out
    assert "no picture is labelled `roadwork`: MCC, AUC, recall cannot be told" in out


def test_a_page_that_cannot_be_written_takes_no_figures_along(
    run: Run, models: list[str], streets: Path, tmp_path: Path
) -> None:
    code, out, err = run(models[0], "streets", "--report", str(tmp_path))
    assert (code, out) == (1, "")
    assert "is a folder: name a file in it with --report" in err
    with patch("streetvision.cli.evaluate.write_atomically", side_effect=OSError(errno.ENOSPC, "No space left")):
        code, out, err = run(models[0], "streets", "--report", "page.html", "--json")
    assert code == 1
    assert json.loads(out)["model"] == models[0]
    assert "Writing page.html failed: the disk is full" in err


def test_hostile_names_steer_neither_terminal_nor_page(
    run: Run, models: list[str], streets: Path, tmp_path: Path
) -> None:
    hostile = os.fsdecode(b"<script>\x1b[31m\xff")
    streets.rename(tmp_path / hostile)
    code, out, err = run(models[0], hostile, "--report", "page.html")
    assert code == 0, err
    assert "\x1b" not in out + err
    page = (tmp_path / "page.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_folder_has_no_other_split(run: Run, models: list[str], streets: Path) -> None:
    code, out, err = run(models[0], "streets", "--split", "val")
    assert (code, out) == (1, "")
    assert err == "error: streets has no pictures in its split `val`: name another one with --split.\n"


def test_calibrating_on_too_few_pictures_is_refused_and_leaves_nothing(
    run: Run, models: list[str], streets: Path, tmp_path: Path
) -> None:
    code, out, err = run(models[0], "streets", "--calibrate", "1.0.1")
    assert (code, out) == (1, "")
    assert "at least 50 pictures of each class in the split `val`, and there are 0 with roadwork" in err
    assert not list((tmp_path / "state").rglob("1.0.1"))


def test_a_calibrated_version_enters_the_registry(run: Run, models: list[str], tmp_path: Path) -> None:
    sound = [picture(seed, seed % 2 == 0) for seed in range(140)]
    with writing(tmp_path / "state" / "datasets" / "drives") as store:
        add(ListSource(sound), store)
        arrange(store, Shares(val=0.8, test=0.1))
    code, out, err = run(models[0], "drives", "--calibrate", "1.0.1", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (told["version"], told["from"]) == ("1.0.1", "1.0.0")
    kept = read_config(tmp_path / "state" / "models" / "versions" / "1.0.1")
    assert kept.temperature == told["temperature"]["after"] != told["temperature"]["before"]
    assert kept.card["calibration"]["dataset"] == "drives"
    code, out, _ = run("1.0.1", "drives", "--split", "val")
    assert code == 0
    assert re.search(rf"NLL +{told['val']['nll']['after']:.3f} ", out), "it answers with what was fitted"
    code, out, err = run("1.0.1", "drives", "--calibrate", "1.0.1")
    assert (code, out) == (1, "")
    assert "Model version 1.0.1 exists already" in err
