"""`streetvision models`: the registry from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from streetvision.cli.models_table import VersionRoles, version_table
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.models.versions import ModelVersion
from streetvision.registry.registry import Registry
from streetvision.rollout.blocklist import BLOCKLIST_FILE, BlockedVersion, Blocklist

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, command: Run, tmp_path: Path) -> Run:
    """Run `streetvision models ...` in an empty folder; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "setpriority", lambda *_: None)  # it would outlive the test
    monkeypatch.setenv("STREETVISION_STATE_DIR", str(tmp_path / "state"))
    return partial(command, "models")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def call(version: str = "1.2.0", *, seed: int = 0) -> Path:
        torch.manual_seed(seed)
        config = replace(tiny_config(name="mine", version=version, depth=1, width=64), input_size=32)
        config = replace(config, card={"metrics": {"mcc": 0.91}}, created="2026-11-20T10:00:00+00:00")
        folder = tmp_path / f"made-{version}-{seed}"
        save_checkpoint(folder, config, build(config).state_dict())
        return folder

    return call


VERSION = ModelVersion(
    "1.2.0", "roadwork", Path("/m"), "5b" * 32, f"hf:you/{'long' * 20}@1", "2026-11-21", True, None, "2026-11-20"
)


@pytest.mark.parametrize("width", [70, 80, 100, 130, None])
def test_the_table_fits_the_terminal(width: int | None) -> None:
    table = version_table([VERSION], VersionRoles(None, None), width)
    header, line = table.splitlines()
    assert line.startswith("1.2.0    roadwork  ")
    assert line.endswith("long@1")
    assert "ready" in line
    assert len(line) <= (width or 200)
    assert ("5b5b5b5b5b5b" in line) == ("HASH" in header) == (width != 70)


def test_a_version_that_was_rolled_back_says_so(run: Run, make: Make, tmp_path: Path) -> None:
    run("add", str(make()))
    blocklist = Blocklist(tmp_path / "state" / "models" / BLOCKLIST_FILE)
    blocklist.put("1.2.0", BlockedVersion("it failed", "2026-11-22T10:00:00+00:00", "another content"))
    assert "rolled back" not in run("list")[1]
    sha256 = json.loads(run("show", "1.2.0", "--json")[1])["sha256"]
    blocklist.put("1.2.0", BlockedVersion("it failed", "2026-11-22T10:00:00+00:00", sha256))
    assert " rolled back  " in run("list")[1]
    assert "rolled back at 2026-11-22T10:00:00+00:00: it failed" in run("show", "1.2.0")[1]
    assert json.loads(run("show", "1.2.0", "--json")[1])["rolled_back"].endswith("it failed")


def test_add_list_show_verify_rm(run: Run, make: Make, tmp_path: Path) -> None:
    source = make()
    assert run("add", str(source)) == (0, "1.2.0  mine  ready to serve\n", "")
    code, out, err = run("list")
    assert (code, err) == (0, "")
    header, bundled, line = out.splitlines()
    assert header.split()[:3] == ["VERSION", "NAME", "KIND"]
    assert bundled.startswith("bundled ")
    assert line.split()[:4] == ["1.2.0", "mine", "checkpoint", "2026-11-20"]
    assert "ready" in line
    code, out, _ = run("list", "--json")
    fields = [json.loads(text) for text in out.splitlines()]
    assert [item["version"] for item in fields] == ["bundled", "1.2.0"]
    assert fields[1]["metrics"] == {"mcc": 0.91}
    assert fields[1]["source"] == str(source)
    assert (fields[1]["input_size"], fields[1]["head"]) == (32, "cls_mean_linear")
    assert (fields[1]["active"], fields[1]["last_good"], fields[1]["servable"]) == (False, False, True)
    code, out, _ = run("show", "1.2.0")
    assert code == 0
    assert fields[1]["sha256"] in out
    assert "network   vit_small_patch16_dinov3, 32 pixels, head cls_mean_linear\n" in out
    assert '"mcc": 0.91' in out
    assert json.loads(run("show", "1.2.0", "--json")[1]) == fields[1]
    assert run("verify", "1.2.0") == (0, "1.2.0  sound\n", "")
    assert run("rm", "1.2.0") == (0, "removed 1.2.0\n", "")
    assert len(run("list")[1].splitlines()) == 2


def test_states_are_shown(run: Run, make: Make, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "state" / "models")
    for version in ("1.0.0", "1.1.0"):
        run("add", str(make(version)))
        registry.activate(version, over="", why="swap")
    lines = run("list")[1].splitlines()
    assert "last good" in lines[2]
    assert " active " in lines[3]
    code, out, err = run("rm", "1.1.0")
    assert (code, out) == (1, "")
    assert err.startswith("error: Model version 1.1.0 is the active one")
    assert run("rm", "1.0.0")[0] == 1


def test_the_version_that_the_settings_name_is_not_removed(
    run: Run, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("add", str(make()))
    monkeypatch.setenv("MODEL_URL", "1.2.0")
    code, _, err = run("rm", "1.2.0")
    assert code == 1
    assert "is what --model names" in err


def test_the_list_tells_of_a_model_that_is_not_in_it(run: Run, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("list")[2] == ""
    folder = str(make())
    monkeypatch.setenv("MODEL_URL", folder)
    code, out, err = run("list", "--json")
    assert (code, [json.loads(line)["version"] for line in out.splitlines()]) == (0, ["bundled"])
    assert err == f"No version is marked as active: the miner serves what --model names, {folder}.\n"


def test_a_version_can_be_renamed(run: Run, make: Make) -> None:
    source = make()
    assert run("add", str(source), "--version", "2.0.0-rc.1")[1].startswith("2.0.0-rc.1  mine")
    assert json.loads(run("add", str(source), "--version", "3.0.0", "--json")[1])["version"] == "3.0.0"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("add", "/nowhere"), "is not a folder"),
        (("add", "."), r"has no model.json"),
        (("add", "timm:resnet50"), "neither a DINOv3 nor a plain vision transformer"),
        (("add", "timm:no_such_model"), "knows no pretrained model"),
        (("add", "timm:../../x"), "is no timm model"),
        (("add", "hf:broken"), "is no Hugging Face repository"),
        (("add", "https://example.com/model"), "is no Hugging Face repository"),
        (("add", ".", "--weights", "x.safetensors"), "--weights belongs to a timm: tag"),
        (("add", ".", "--positive", "x"), "--positive belongs to a transformers classifier"),
        (("show", "9.9.9"), "there are: bundled"),
        (("rm", "bundled"), "part of the package"),
        (("verify", "9.9.9"), "there are: bundled"),
    ],
)
def test_mistakes_are_one_sentence(run: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    if "timm:resnet50" in arguments:
        (tmp_path / "x.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
        arguments = (*arguments, "--weights", "x.safetensors")
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert sentence in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_verify_finds_damage_and_exits_with_1(run: Run, make: Make, tmp_path: Path) -> None:
    run("add", str(make()))
    assert run("verify", "1.2.0") == (0, "1.2.0  sound\n", "")
    weights = tmp_path / "state" / "models" / "versions" / "1.2.0" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(data)
    code, out, _ = run("verify", "--json")
    assert code == 1
    results = {fields["version"]: fields["problems"] for fields in map(json.loads, out.splitlines())}
    assert results["bundled"] == []
    assert "do not belong together" in results["1.2.0"][-1]


def test_listing_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['streetvision', 'models', 'list']\n"
        "from streetvision.cli.main import main\n"
        "main_error = None\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
        "assert 'bittensor' not in sys.modules, 'bittensor'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"STREETVISION_STATE_DIR": str(tmp_path / "state"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "bundled" in done.stdout
