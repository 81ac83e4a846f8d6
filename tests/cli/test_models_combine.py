"""`streetvision models combine`: ensembles of what is in the registry, and one model with views."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
import torch

from streetvision.cli.main import main
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.ensemble import read_ensemble
from streetvision.models.network import build, tiny_config
from streetvision.registry.registry import REGISTRY_FOLDER, Registry
from streetvision.sources.adding import add
from streetvision.sources.arranging import arrange
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing

from ..sources.pictures import ListSource, picture

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with versions 1.0.0 and 1.1.0, to be copied: each has answered the golden pictures once."""
    home = tmp_path_factory.mktemp("examined")
    registry = Registry(home / REGISTRY_FOLDER)
    for seed, version in enumerate(("1.0.0", "1.1.0")):
        torch.manual_seed(seed)
        config = replace(tiny_config(version=version, depth=1, width=64), input_size=32 + 16 * seed)
        save_checkpoint(home / version, config, build(config).state_dict())
        registry.add_folder(home / version, source="test")
    return registry.folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, examined: Path) -> Run:
    """Run `streetvision ...` on a registry with versions 1.0.0 and 1.1.0; exit code, stdout, stderr."""
    copytree(examined, tmp_path / "state" / REGISTRY_FOLDER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(tmp_path / "state"))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["streetvision", *arguments])
        code = 0
        try:
            main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def ensemble_folder(tmp_path: Path, version: str) -> Path:
    return tmp_path / "state" / "models" / "versions" / version


def test_versions_are_combined_with_weights_and_views(run: Run, tmp_path: Path) -> None:
    code, out, err = run(
        "models", "combine", "2.0.0", "1.0.0", "1.1.0:0.5", "--view", "hflip", "--view", "crop:0.8", "--name", "pair"
    )
    assert (code, out, err) == (0, "2.0.0  pair  ready to serve\n", "")
    config = read_ensemble(ensemble_folder(tmp_path, "2.0.0"))
    assert [(member.version, member.weight) for member in config.members] == [("1.0.0", 1.0), ("1.1.0", 0.5)]
    assert config.views == ("plain", "hflip", "crop:0.8")
    assert run("models", "verify", "2.0.0") == (0, "2.0.0  sound\n", "")
    page = run("models", "show", "2.0.0")[1].splitlines()
    assert page[-3:] == ["member    1.0.0, weight 1", "member    1.1.0, weight 0.5", "views     plain, hflip, crop:0.8"]
    code, _, err = run("models", "rm", "1.0.0")
    assert (code, "is a member of the ensemble 2.0.0" in err) == (1, True)


def test_an_ensemble_answers_by_every_view_of_every_member(run: Run, tmp_path: Path) -> None:
    from PIL import Image

    Image.linear_gradient("L").save(tmp_path / "photo.png")
    assert run("models", "combine", "2.0.0", "1.0.0", "1.1.0", "--view", "hflip", "--view", "tiles:2x2")[0] == 0
    code, out, err = run("predict", "--json", "--model", str(ensemble_folder(tmp_path, "2.0.0")), "photo.png")
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert (answer["model"], answer["views"]) == ("2.0.0", 12)  # two members: plain, hflip and four tiles each


def test_a_copied_member_is_part_of_the_ensemble(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("models", "combine", "2.0.0", "1.1.0", "--view", "rot180", "--copy", "--json")
    assert (code, json.loads(out)["kind"]) == (0, "ensemble")
    assert run("models", "rm", "1.1.0")[0] == 0
    assert (ensemble_folder(tmp_path, "2.0.0") / "1.1.0" / "model.safetensors").is_file()
    assert run("models", "verify", "2.0.0") == (0, "2.0.0  sound\n", "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("2.0.0", "9.9.9"), "There is no model version '9.9.9'"),
        (("2.0.0", "1.0.0:much"), "The weight of '1.0.0:much' is not a number: write it as 1.0.0:0.5."),
        (("2.0.0", "1.0.0:-1"), "a member's weight must be from 0.001 to 1000, not -1.0"),
        (("2.0.0", "1.0.0:nan"), "a member's weight must be from 0.001 to 1000, not nan"),
        (("2.0.0", "1.0.0", "1.0.0:2"), "a member is named twice"),
        (("2.0.0", "1.0.0", "--view", "sideways"), "the view 'sideways' does not exist: use plain, hflip"),
        (("two", "1.0.0"), "version must be a semantic version"),
        (("1.1.0", "1.0.0"), "1.1.0"),
        (("2.0.0", "1.0.0", "1.1.0", "--on", "drives"), "--on and --stack belong to a router"),
        (("2.0.0", "1.0.0", "1.1.0", "--stack"), "--on and --stack belong to a router"),
        (("2.0.0", "1.0.0", "1.1.0", "--route", "never", "--on", "drives"), "name one of unsure, far, both"),
        (("2.0.0", "1.0.0", "1.1.0", "--route", "far"), "name a dataset with --on"),
        (("2.0.0", "1.0.0", "--route", "far", "--on", "drives"), "between two members, and 1 are named"),
        (("2.0.0", "1.0.0", "1.1.0", "--route", "far", "--on", "drives", "--view", "hflip"), "leave --view out"),
        (("1.1.0", "1.0.0", "1.1.0", "--route", "far", "--on", "drives"), "1.1.0"),
        (("2.0.0", "1.0.0", "1.1.0", "--route", "far", "--on", "drives"), "drives"),
    ],
)
def test_what_cannot_be_combined_is_said_in_one_sentence(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    code, out, err = run("models", "combine", *arguments)
    assert (code, out) == (1, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not ensemble_folder(tmp_path, "2.0.0").exists()


def test_an_ensemble_cannot_be_a_member(run: Run) -> None:
    assert run("models", "combine", "2.0.0", "1.0.0", "--view", "hflip")[0] == 0
    code, _, err = run("models", "combine", "3.0.0", "2.0.0", "1.1.0")
    assert (code, "2.0.0 is an ensemble itself: name its members instead" in err) == (1, True)


@pytest.fixture
def drives(run: Run, tmp_path: Path) -> str:
    """A dataset in the state folder with pictures in every split."""
    with writing(tmp_path / "state" / "datasets" / "drives") as store:
        add(ListSource([picture(seed, seed % 2 == 0) for seed in range(150)]), store)
        arrange(store, Shares(val=0.45, test=0.1))
    return "drives"


def test_a_router_is_a_version_that_answers_shows_and_verifies(run: Run, drives: str, tmp_path: Path) -> None:
    options = ("--route", "both", "--on", drives, "--share", "0.2", "--device", "cpu")
    code, out, err = run("models", "combine", "2.0.0", "1.0.0", "1.1.0", *options)
    assert (code, out.splitlines()[0]) == (0, "2.0.0  ensemble  ready to serve"), err
    assert "the second member is asked where the first's probability is from" in out
    assert "on test" in out
    config = read_ensemble(ensemble_folder(tmp_path, "2.0.0"))
    assert config.router is not None
    assert config.router.rule == "both"
    assert config.card["router"]["share"] == 0.2
    assert (ensemble_folder(tmp_path, "2.0.0") / "router.safetensors").is_file()
    assert run("models", "verify", "2.0.0") == (0, "2.0.0  sound\n", "")
    assert "router    the second member is asked" in run("models", "show", "2.0.0")[1]
    photo = next((tmp_path / "state" / "datasets" / "drives").rglob("*.png"), None) or next(
        (tmp_path / "state" / "datasets" / "drives").rglob("*.jpg")
    )
    code, out, err = run("predict", "--json", "--model", str(ensemble_folder(tmp_path, "2.0.0")), str(photo))
    assert code == 0, err
    answer = json.loads(out)
    assert (answer["router"], answer["views"]) in (("sure", 1), ("asked", 2))
    assert len(answer["members"]) == answer["views"]
    code, _, err = run("models", "combine", "2.0.0", "1.0.0", "1.1.0", *options)
    assert (code, "2.0.0 exists already: choose another one" in err) == (1, True)


def test_a_router_that_cannot_be_fitted_leaves_nothing(run: Run, drives: str, tmp_path: Path) -> None:
    options = ("--route", "unsure", "--on", drives, "--share", "0.05", "--stack", "--device", "cpu")
    code, out, err = run("models", "combine", "2.0.0", "1.0.0", "1.1.0", *options)
    assert (code, out) == (1, "")
    assert "A stack takes at least 30 pictures of each class" in err
    assert not ensemble_folder(tmp_path, "2.0.0").exists()
