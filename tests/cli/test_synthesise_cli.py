"""`streetvision synthesise`: what it says, what it refuses, and that the same command goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streetvision.sources.adding import add
from streetvision.sources.arranging import arrange
from streetvision.sources.folder import open_folder
from streetvision.sources.made import MadePictures
from streetvision.sources.place import dataset_folder
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing
from streetvision.synthesis.pixels import write_pixels
from streetvision.synthesis.store import open_store

from ..synthesis.streets import street

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with the dataset `streets` of 24 pictures."""
    for number in range(24):
        path = tmp_path / "pictures" / ("roadwork" if number % 2 == 0 else "none") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write_pixels(street(number, thing=number % 2 == 0)))
    with writing(dataset_folder("streets", tmp_path / "state")) as store:
        add(open_folder(tmp_path / "pictures"), store)
        arrange(store, Shares(val=0.1, test=0.1))
    return tmp_path / "state"


def run(command: Command, state: Path, *more: str) -> tuple[int, Any, str]:
    code, out, err = command("synthesise", "run", "v1", "--data", "streets", "--state_dir", str(state), "--json", *more)
    return code, json.loads(out) if out else None, err


def test_it_makes_goes_on_and_counts(command: Command, state: Path) -> None:
    wanted = ("--kinds", "snow,fog", "--count", "2", "--order", "random")
    code, made, err = run(command, state, *wanted)
    assert (code, sum(made["kept"].values()), made["spent"]) == (0, 2, 0.0)
    assert "2 variations by local 1, on this machine and for nothing" in err
    assert sum(run(command, state, *wanted)[1]["kept"].values()) == 2
    assert len(list(MadePictures(Path(made["folder"])).pictures())) == 4
    code, out, _ = command("synthesise", "stats", "v1", "--state_dir", str(state), "--json")
    assert (code, json.loads(out)["kept"]) == (0, 4)
    code, out, _ = command("synthesise", "stats", "--state_dir", str(state))
    assert out.startswith("v1: 4 variations in ")
    code, out, _ = command("synthesise", "pays", "v1", "--data", "streets", "--state_dir", str(state))
    assert (code, out) == (0, "nothing can be told: there are real pictures with roadwork of fewer than 12 groups\n")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--kinds", "nihgt"), "'nihgt' is no kind of variation"),
        (("--back_end", "clouds"), "--back_end is local, cosmos, bedrock, vllm-omni"),
        (("--back_end", "cosmos"), "set --synthetic.url"),
        (("--order", "best"), "--order is hard or random"),
        (("--data", "street"), "did you mean streets?"),
        (("--data", "~nobody-here/streets"), "a user that does not exist"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_loaded(
    command: Command, state: Path, more: tuple[str, ...], why: str
) -> None:
    code, out, err = run(command, state, *more)
    assert (code, out) == (1, None)
    assert why in err


def test_a_set_that_is_not_there_is_told(command: Command, state: Path) -> None:
    code, _, err = command("synthesise", "stats", "v2", "--state_dir", str(state))
    assert code == 1
    assert "There is no set of variations 'v2': make one with `streetvision synthesise run`." in err


def test_nothing_leaves_the_machine_unless_somebody_says_so(
    command: Command, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streetvision.synthesis.back_ends.vllm_omni.VllmOmni.check", lambda _: "ready")
    monkeypatch.setenv("SYNTHETIC_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SYNTHETIC_PRICE", "0.04")
    monkeypatch.setenv("SYNTHETIC_BUDGET", "5")
    remote = ("--back_end", "vllm-omni", "--kinds", "night", "--count", "3", "--order", "random")
    code, _, err = run(command, state, *remote)
    assert code == 1
    assert "it costs 0.12 of money (0.04 each); 0.00 of 5.00 of money spent this month" in err
    assert "say --yes" in err
    code, _, err = run(command, state, *remote, "--yes")
    assert code == 1
    assert "no connection to http://127.0.0.1:1" in err


def test_a_bound_that_ends_it_is_a_failure(command: Command, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streetvision.synthesis.back_ends.vllm_omni.VllmOmni.check", lambda _: "ready")
    for name, value in {"URL": "http://127.0.0.1:1", "PRICE": "2", "BUDGET": "1"}.items():
        monkeypatch.setenv(f"SYNTHETIC_{name}", value)
    remote = ("--back_end", "vllm-omni", "--kinds", "night", "--count", "3", "--order", "random", "--yes")
    code, made, _ = run(command, state, *remote)
    assert (code, "this may take 2.00: wait, or raise SYNTHETIC_BUDGET" in made["ended"]) == (1, True)


def test_what_was_made_is_told_while_more_is_made(command: Command, state: Path) -> None:
    code, out, _ = command("synthesise", "stats", "--state_dir", str(state))
    assert (code, out, (state / "synthetic").exists()) == (0, "", False)
    run(command, state, "--kinds", "fog", "--count", "1", "--order", "random")
    with open_store(state):
        code, out, err = command("synthesise", "stats", "--state_dir", str(state))
        assert (code, out.startswith("v1: 1 variations in ")) == (0, True), err
        assert "another synthesise is running" in run(command, state)[2]
