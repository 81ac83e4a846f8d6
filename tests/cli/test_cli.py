"""The streetvision command: output on stdout, sentences on stderr, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from streetvision import __version__
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.scenes.challenges import challenge

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, command: Run, tmp_path: Path) -> Run:
    """Run the command in an empty folder; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(tmp_path / "state"))
    return command


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = tiny_config(depth=1)
    save_checkpoint(tmp_path / "tiny", config, build(config).state_dict())
    return tmp_path / "tiny"


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"{__version__}\n", "")


def test_help_lists_every_command(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for command in ("demo", "predict", "register"):
        assert command in out


def test_predict_prints_one_line_a_file(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    picture = tmp_path / "street.jpg"
    picture.write_bytes(challenge(3, native=False).jpeg)
    code, out, _ = run("predict", str(picture), "--model", str(checkpoint), "--device", "cpu", "--json")
    fields = json.loads(out)
    assert code == 0
    assert 0.0 <= fields["probability"] <= 1.0
    assert (fields["width"], fields["height"]) == (224, 224)
    code, out, _ = run("predict", str(picture), "--model", str(checkpoint), "--device", "cpu")
    assert f"{fields['probability']:.4f}" in out


def test_predict_goes_on_after_a_bad_file_and_says_so(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.jpg", tmp_path / "bad.jpg"
    good.write_bytes(challenge(3, native=False).jpeg)
    bad.write_bytes(b"nonsense")
    missing = tmp_path / "missing.jpg"
    code, out, err = run("predict", str(bad), str(missing), str(good), "--model", str(checkpoint), "--device", "cpu")
    assert code == 1
    assert "good.jpg" in out
    assert "bad.jpg" in err
    assert "missing.jpg" in err


def test_predict_without_a_checkpoint_is_a_sentence(run: Run, tmp_path: Path) -> None:
    code, out, err = run("predict", "x.jpg", "--model", str(tmp_path / "nothing"))
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_register_by_burn_on_the_mock_chain(run: Run) -> None:
    flags = ("--subtensor.network", "mock", "--mock.registered", "false")
    code, out, _ = run("register", *flags, "--register", "burn", "--register.max_burn", "1", "--json")
    assert code == 0
    fields = json.loads(out)
    assert fields["uid"] == 32
    assert fields["method"] == "burn"
    assert 0 < fields["price_tao"] <= 1


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ((), "say how to register"),
        (("--register", "burn", "--register.max_burn", "1"), "is already registered"),
        (("--mock.registered", "false", "--register", "burn", "--register.max_burn", "0.0001"), "above the maximum"),
    ],
)
def test_register_refuses_with_a_sentence(run: Run, flags: tuple[str, ...], says: str) -> None:
    code, out, err = run("register", "--subtensor.network", "mock", *flags)
    assert (code, out) == (1, "")
    assert says in err.splitlines()[-1]


def test_register_help_shows_the_miners_flags(run: Run) -> None:
    code, out, _ = run("register", "--help")
    assert code == 0
    assert "--register.max_burn" in out
