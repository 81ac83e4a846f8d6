"""`streetvision train`: a quick recipe on drawn pictures becomes a version; slips are one sentence."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.config import HeadConfig, ModelConfig
from streetvision.models.network import build
from streetvision.registry.registry import Registry

from ..hub.conftest import server
from ..hub.fake_hub import FakeHub, Repo
from ..serverless.folder_place import FolderPlace

__all__ = ["server"]

Run = Callable[..., tuple[int, str, str]]
SIZES = {"embed_dim": 32, "num_heads": 1, "depth": 1}


@pytest.fixture
def state(tmp_path: Path, command: Run) -> Path:
    """A state folder with a dataset of 40 scenes and a small version."""
    state = tmp_path / "state"
    code, _, err = command("data", "add", "scenes:0-39", "--name", "works", "--state_dir", str(state))
    assert code == 0, err
    torch.manual_seed(0)
    head = HeadConfig(embedding_dim=64)
    config = ModelConfig("small", "0.0.1", "vit_small_patch16_dinov3", SIZES, input_size=64, head=head)
    save_checkpoint(tmp_path / "small", config, build(config).state_dict())
    Registry(state / "models").add_folder(tmp_path / "small", source="test")
    return state


QUICK = ("train", "--recipe", "quick", "--data", "works", "--set", "model.weights=0.0.1", "--set", "run.log=none")
SMALLER = (
    "--set",
    "optimiser.epochs=2",
    "--set",
    "model.input_size=64",
    "--set",
    "augment.copies=2",
    "--device",
    "cpu",
)


def test_a_quick_training_becomes_a_version(command: Run, state: Path) -> None:
    code, out, err = command(*QUICK, *SMALLER, "--json", "--state_dir", str(state))
    assert code == 0, err
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events].count("validation") == 2
    done = events[-1]
    assert (done["event"], done["version"], done["servable"]) == ("done", "0.1.0", True)
    assert 0.0 <= done["metrics"]["auc"] <= 1.0
    code, out, _ = command("train", "list", "--json", "--state_dir", str(state))
    listed = json.loads(out)
    assert (listed["run"], listed["state"], listed["version"]) == (done["run"], "done", "0.1.0")
    code, out, _ = command("train", "show", done["run"], "--state_dir", str(state))
    assert 'model.weights = "0.0.1"' in out
    assert 'data.sets = ["works"]' in out
    assert "it became version 0.1.0" in out
    code, out, _ = command("models", "show", "0.1.0", "--state_dir", str(state))
    assert "works" in out
    (state / "training" / "broken").mkdir()
    (state / "training" / "broken" / "run.json").write_text("{}")
    code, out, err = command("train", "list", "--state_dir", str(state))
    assert code == 0
    assert done["run"] in out
    assert "broken/run.json is missing or damaged" in err
    code, _, err = command("train", "--resume", done["run"], "--state_dir", str(state))
    assert code == 1
    assert "is done: it became version 0.1.0" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_run_that_can_be_finished(command: Run, state: Path, number: int) -> None:
    def interrupt() -> None:
        while not list(state.glob("training/*/metrics.jsonl")):
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    code, _, err = command(*QUICK, *SMALLER, "--set", "optimiser.epochs=9999", "--state_dir", str(state))
    thread.join()
    assert code == 130
    assert "stopping after this step" in err
    (path,) = state.glob("training/*/last.ckpt")
    name = path.parent.name
    assert f"go on with `streetvision train --resume {name}`" in err
    code, out, _ = command("train", "show", name, "--state_dir", str(state))
    assert f"streetvision train --resume {name} --finish" in out
    assert command("data", "rm", "works", "--state_dir", str(state))[0] == 0
    code, out, err = command("train", "--resume", name, "--finish", "--state_dir", str(state))
    assert code == 0, err
    assert out.startswith("0.1.0  streetvision  accuracy ")
    assert "streetvision models swap 0.1.0" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--recipe", "quik"), "there is no recipe 'quik'"),
        (("nowhere.toml",), "nowhere.toml cannot be read"),
        (("--recipe", "quick"), "name a dataset with --data NAME"),
        (("--recipe", "quick", "--data", "nope"), "nope"),
        (("--recipe", "quick", "other.toml"), "name one recipe"),
        (("--recipe", "quick", "--set", "run.bach=3"), "did you mean batch?"),
        (("--recipe", "quick", "--version", "one"), "is no semantic version"),
        (("--recipe", "quick", "--device", "gpu0"), "--device is auto or cpu"),
        (("--recipe", "quick", "--finish"), "--finish belongs to --resume RUN"),
        (("--resume", "none"), "there is no run 'none'; there are: none yet"),
        (("--resume", "none", "--recipe", "quick"), "leave the recipe"),
        (("show", "../models"), "there is no run '../models'"),
    ],
)
def test_a_slip_is_one_sentence(command: Run, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    code, out, err = command("train", *words, "--state_dir", str(tmp_path))
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err
    assert not list(tmp_path.iterdir())


def test_a_run_of_somebody_else_steers_no_terminal(command: Run, tmp_path: Path) -> None:
    path = tmp_path / "training" / "theirs"
    path.mkdir(parents=True)
    (path / "recipe.toml").write_text('[model]\nname = "\\u001b[31m"\n')
    record = {
        "name": "\x1b[2J",
        "recipe": "\x1b]0;q\x07",
        "sets": ["a"],
        "fingerprint": "",
        "started": "\x9b31m",
        "problem": "\x1b[31mx\ny",
        "data": {"val": {"pictures": 1}},
    }
    (path / "run.json").write_text(json.dumps(record))
    for words in (("list",), ("show", "theirs")):
        code, out, err = command("train", *words, "--state_dir", str(tmp_path))
        assert (code, err) == (0, "")
        assert "theirs" in out
        assert not {"\x1b", "\x07", "\x9b"} & set(out)


def test_a_version_that_exists_is_refused_before_the_training(command: Run, state: Path) -> None:
    code, out, err = command(*QUICK, *SMALLER, "--version", "0.0.1", "--state_dir", str(state))
    assert (code, out) == (1, "")
    assert err == "error: model version 0.0.1 exists already: name another one with --version\n"
    assert not list(state.glob("training/*/run.json"))


def test_weights_that_the_hub_does_not_give_are_told_and_leave_no_run(
    command: Run, state: Path, server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    words = ("train", "--recipe", "quick", "--data", "works", "--device", "cpu", "--state_dir", str(state))
    code, out, err = command(*words)
    assert (code, out) == (1, "")
    assert "timm/vit_small_patch16_dinov3.lvd1689m" in err
    assert "--set model.weights=" in err
    server.repos["timm/vit_small_patch16_dinov3.lvd1689m"] = repo = Repo(gated=True)
    repo.commit({"model.safetensors": b"weights", "config.json": b"{}"})
    code, _, err = command(*words)
    assert code == 1
    assert "terms" in err
    assert err.count("error: ") == 1
    assert not [path for path in (state / "training").iterdir() if path.is_dir()]


def test_a_state_folder_that_is_none_is_told(command: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = command("train", "list", "--state_dir", str(tmp_path / "file"))
    assert code == 1
    assert "is no folder" in err


def test_the_missing_extra_is_named(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.cli.train.find_spec", lambda name: None)
    code, _, err = command("train", "--recipe", "quick", "--data", "x", "--state_dir", str(tmp_path))
    assert code == 1
    assert "pip install 'streetvision[train]'" in err


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderPlace:
    pytest.importorskip("modal", reason="the extra `modal` is not installed")
    found = FolderPlace(tmp_path / "volume")
    monkeypatch.setattr("streetvision.serverless.training_app.ModalPlace", lambda _: found)
    return found


def test_a_training_there_becomes_a_version_here(command: Run, state: Path, place: FolderPlace) -> None:
    code, out, err = command(*QUICK, *SMALLER, "--on", "modal", "--usd", "5", "--state_dir", str(state))
    assert code == 0, err
    assert "an hour by the price table, at most" in err
    assert out.startswith("0.1.0  streetvision  accuracy ")
    assert any(name.startswith("pictures/") for name in place.sent)


def test_spent_money_leaves_a_run_that_goes_on(command: Run, state: Path, place: FolderPlace) -> None:
    place.seconds = 0.0
    code, _, err = command(*QUICK, *SMALLER, "--on", "modal", "--usd", "5", "--state_dir", str(state))
    assert code == 130
    assert "the money for this training is spent after step" in err
    (path,) = state.glob("training/*/last.ckpt")
    name = path.parent.name
    assert f"go on with `streetvision train --resume {name}`" in err
    code, out, err = command("train", "--resume", name, "--json", "--state_dir", str(state))
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["version"] == "0.1.0"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--on", "moon"), "--on is here or modal, not 'moon'"),
        (("--on", "modal"), "say how much it may with --usd"),
        (("--on", "modal", "--usd", "0"), "say how much it may with --usd"),
        (("--on", "modal", "--usd", "nan"), "say how much it may with --usd"),
        (("--on", "modal", "--usd", "-3"), "say how much it may with --usd"),
        (("--on", "modal", "--usd", "0.01"), "$0.01 buys no training on this card"),
        (("--usd", "5"), "add --on modal"),
        (("--on", "modal", "--usd", "5", "--set", "run.log=wandb"), "the key of W&B is not sent"),
        (("--on", "modal", "--usd", "5", "--finish"), "--finish learns no further"),
    ],
)
def test_a_slip_on_where_it_learns_is_one_sentence(
    command: Run, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    code, out, err = command("train", "--recipe", "quick", *words, "--state_dir", str(tmp_path))
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("error: ")
    assert err.count("error: ") == 1
    assert said in err


def test_without_the_extra_nothing_is_begun(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.serverless.troubles.find_spec", lambda _: None)
    code, _, err = command("train", "--recipe", "quick", "--on", "modal", "--usd", "5", "--state_dir", str(tmp_path))
    assert code == 1
    assert "pip install 'streetvision[modal]'" in err
