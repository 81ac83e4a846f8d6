"""`streetvision models add siglip2:...` from the command line: prompts, calibration, slips."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("open_clip", reason="needs the extra siglip")

from streetvision.models.folder import read_config
from streetvision.sources.adding import add
from streetvision.sources.arranging import arrange
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing

from ..hub.open_clip_model import write_model
from ..sources.pictures import ListSource, picture

Run = Callable[..., tuple[int, str, str]]
PROMPTS = '[for]\nen = ["road works"]\n[against]\nen = ["an empty street"]\n'


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, command: Run, tmp_path: Path) -> Run:
    """Run `streetvision models ...` in an empty folder; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "setpriority", lambda *_: None)  # it would outlive the test
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "prompts.toml").write_text(PROMPTS)
    return partial(command, "models")


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip") / "nano"
    write_model(folder)
    return folder


def test_prompts_of_a_file_and_a_calibration_make_a_version(run: Run, nano: Path, tmp_path: Path) -> None:
    sound = [picture(seed, seed % 2 == 0) for seed in range(140)]
    with writing(tmp_path / "state" / "datasets" / "drives") as store:
        add(ListSource(sound), store)
        arrange(store, Shares(val=0.8, test=0.1))
    code, out, err = run(
        "add", f"siglip2:{nano}", "--prompts", "prompts.toml", "--calibrate", "drives", "--version", "1.0.0", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["version"] == "1.0.0"
    assert "temperature" in err and "threshold" in err
    kept = read_config(tmp_path / "state" / "models" / "versions" / "1.0.0")
    assert kept.temperature != 1.0
    assert kept.card["calibration"]["dataset"] == "drives"
    assert kept.card["prompts"]["against"] == {"en": ["an empty street"]}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["siglip2:nothing"], "names no SigLIP 2: write siglip2:ViT-B-16-SigLIP2, say"),
        (["siglip2:ViT-B-16-SigLIP2", "--prompts", "missing.toml"], "missing.toml cannot be read"),
        (["siglip2:ViT-B-16-SigLIP2", "--prompts", "half.toml"], "half.toml has no prompts in [against]"),
        (["somewhere", "--prompts", "prompts.toml"], "--prompts and --calibrate belong to a siglip2: tag"),
        (["siglip2:ViT-B-16-SigLIP2", "--calibrate", "few"], "at least 50 pictures of each class"),
    ],
)
def test_slips_are_told_and_nothing_is_fetched(
    run: Run, tmp_path: Path, arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (tmp_path / "half.toml").write_text('[for]\nen = ["road works"]\n')
    with writing(tmp_path / "state" / "datasets" / "few") as store:
        add(ListSource([picture(seed, seed % 2 == 0) for seed in range(8)]), store)
        arrange(store, Shares(val=0.8, test=0.1))
    code, out, err = run("add", *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ") and sentence in err
    assert not (tmp_path / "state" / "models").exists() or not list((tmp_path / "state" / "models").glob("pulls/*"))


def test_prompts_in_the_home_of_nobody_are_told(run: Run) -> None:
    code, _, err = run("add", "siglip2:ViT-B-16-SigLIP2", "--prompts", "~nobody-here/prompts.toml")
    assert (code, "home of a user that does not exist" in err) == (1, True)
