"""What could break the registry: kills, a full disk, commands at once, hostile folders. It stays whole each time."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import load_file, save_file

from streetvision.base.disk import LOCK_FILE, STAGING, exclusive, staging
from streetvision.errors import OperatorError
from streetvision.models.checkpoint import load_checkpoint, save_checkpoint
from streetvision.models.checks import CheckpointError
from streetvision.models.ensemble import EnsembleConfig, Member
from streetvision.models.folder import read_config
from streetvision.models.network import build, tiny_config
from streetvision.models.versions import ModelVersion, hash_file
from streetvision.registry import model_import
from streetvision.registry.model_import import Findings, no_progress
from streetvision.registry.registry import Registry

Make = Callable[..., Path]


def cheap(folder: Path, *rest: object) -> Findings:
    config, _ = load_checkpoint(folder)
    return Findings(config.input_size, (0.0, 1.0), config.why_not_servable)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models", examine=cheap)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def call(version: str = "1.0.0", *, seed: int = 0) -> Path:
        torch.manual_seed(seed)
        config = replace(tiny_config(version=version, depth=1, width=64), input_size=32)
        folder = tmp_path / f"source-{version}-{seed}"
        save_checkpoint(folder, config, build(config).state_dict(), overwrite=True)
        return folder

    return call


def rewrite(folder: Path, **changes: Any) -> None:
    data = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(data | changes))


def replace_weights(folder: Path, state: dict[str, torch.Tensor]) -> None:
    save_file(state, folder / "model.safetensors")
    rewrite(folder, sha256=hash_file(folder / "model.safetensors"))


def whole(registry: Registry, *versions: str) -> None:
    """These versions are there and sound, and nothing else is."""
    assert [item.version for item in registry.versions()] == ["bundled", *versions]
    for version in versions:
        assert registry.servable(version).servable
    assert [path.name for path in registry.folder.glob(f"{STAGING}*")] == []


KILLED = """
import os, signal, sys
from pathlib import Path
from streetvision.models.checkpoint import load_checkpoint
from streetvision.base import disk
from streetvision.registry import registry as module
from streetvision.registry.model_import import Findings
from streetvision.registry.registry import Registry

def die(stage, *_):
    if stage == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

def examine(folder, *_):
    config, _ = load_checkpoint(folder)
    return Findings(config.input_size, (0.0, 1.0), None)

placed = Registry._place
def place(self, target, entry):
    found = placed(self, target, entry)
    die("placed")
    return found
Registry._place = place
Registry(Path(sys.argv[1]), examine=examine).add_folder(Path(sys.argv[2]), source="x", progress=die)
"""


@pytest.mark.parametrize("stage", ["copying", "storing", "placed"])
def test_a_killed_add_leaves_a_whole_registry(registry: Registry, make: Make, tmp_path: Path, stage: str) -> None:
    registry.add_folder(make("0.9.0"), source="x")
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    done = subprocess.run(
        [sys.executable, str(script), str(registry.folder), str(make()), stage], check=False, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    there = ["0.9.0", "1.0.0"] if stage == "placed" else ["0.9.0"]
    assert [item.version for item in registry.versions()] == ["bundled", *there]
    registry.add_folder(make(), source="x")
    whole(registry, "0.9.0", "1.0.0")


def test_a_living_commands_folder_is_not_swept(registry: Registry, make: Make) -> None:
    with staging(registry.folder) as mine:
        (mine / "x").write_text("mine")
        registry.add_folder(make(), source="x")
        assert (mine / "x").read_text() == "mine"
    whole(registry, "1.0.0")


def test_many_commands_at_once(registry: Registry, make: Make) -> None:
    sources = [make("1.0.0", seed=seed) for seed in range(3)] + [make(f"2.0.{n}") for n in range(3)]

    def add(source: Path) -> str:
        try:
            return Registry(registry.folder, examine=cheap).add_folder(source, source="x").version
        except OperatorError as error:
            return str(error)

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(add, sources))
    assert results[3:] == ["2.0.0", "2.0.1", "2.0.2"]
    assert results.count("1.0.0") == 1
    assert sum("exists already with other content" in result for result in results) == 2
    whole(registry, "1.0.0", "2.0.0", "2.0.1", "2.0.2")


def test_the_pointer_is_moved_by_one_at_a_time(registry: Registry, make: Make) -> None:
    versions = [registry.add_folder(make(f"1.0.{n}"), source="x").version for n in range(4)]

    def move(version: str) -> None:
        for _ in range(5):
            Registry(registry.folder).activate(version, over="", why=version)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(move, versions))
    steps = registry.steps()
    assert len(steps) == 21
    assert all(step.version == step.why for step in steps[1:])


def test_a_lock_that_is_held_is_one_sentence(tmp_path: Path) -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with exclusive(tmp_path):
            held.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    now = iter(range(100))
    with (
        pytest.raises(OperatorError, match="Another streetvision command is changing"),
        exclusive(tmp_path, patience_s=3, clock=lambda: next(now), sleep=lambda _: None),
    ):
        pytest.fail("two held it")
    release.set()
    thread.join()
    with exclusive(tmp_path):
        assert (tmp_path / LOCK_FILE).exists()


@pytest.mark.parametrize("where", ["copy", "entry", "flush", "pointer"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    registry: Registry, make: Make, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    registry.add_folder(make("0.9.0"), source="x")
    source = make()

    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if where == "copy":
            patch.setattr(model_import, "_copy", full)
        elif where == "entry":
            patch.setattr(Path, "write_text", full)
        elif where == "flush":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(tempfile, "mkstemp", full)
        with pytest.raises(OperatorError, match="the disk is full; free some space"):
            if where == "pointer":
                registry.activate("0.9.0", over="", why="x")
            else:
                registry.add_folder(source, source="x")
    whole(registry, "0.9.0")
    assert registry.active() is None


def test_too_little_room_is_said_before_anything_is_copied(
    registry: Registry, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make()
    usage = shutil._ntuple_diskusage(10, 9, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OperatorError, match=r"MiB but only 0\.0 MiB are free on its disk"):
        registry.add_folder(source, source="x")
    whole(registry)


def test_a_registry_that_cannot_be_written_is_one_sentence(tmp_path: Path, make: Make) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OperatorError, match="Adding the model failed"):
        Registry(tmp_path / "file" / "models").add_folder(make(), source="x")


def test_poisoned_weights_are_refused_by_name(registry: Registry, make: Make) -> None:
    folder = make()
    state = load_file(folder / "model.safetensors")
    cases: list[tuple[dict[str, torch.Tensor], str]] = [
        (state | {"head.fc.weight": torch.full_like(state["head.fc.weight"], torch.nan)}, "holds NaN or infinite"),
        (state | {"head.fc.weight": torch.full_like(state["head.fc.weight"], torch.inf)}, "holds NaN or infinite"),
        ({name: state[name] for name in state if name != "head.fc.bias"}, "'head.fc.bias' is missing"),
        (state | {"surplus": torch.ones(1)}, "'surplus' is not part"),
        (state | {"head.fc.weight": torch.ones(2, 128)}, "has shape"),
        (state | {"head.fc.weight": torch.full_like(state["head.fc.weight"], 3e38)}, "answers NaN or infinity"),
    ]
    full = Registry(registry.folder)
    for poisoned, sentence in cases:
        replace_weights(folder, poisoned)
        with pytest.raises(CheckpointError, match=sentence) as caught:
            full.add_folder(folder, source="the source")
        assert "\n" not in str(caught.value)
        assert STAGING not in str(caught.value)
    whole(registry)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"input_size": 33}, "multiple of 16"),
        ({"input_size": 10**9}, "input_size must be from"),
        ({"architecture_kwargs": {"depth": 10**9}}, "depth must be from"),
        ({"architecture_kwargs": {"depth": 80, "embed_dim": 8192, "num_heads": 128}}, "gives 16384"),
        ({"head": {"kind": "cls_linear", "embedding_dim": 64, "eps": 1e-5, "classes": 3, "positive": [3]}}, "positive"),
        ({"head": {"kind": "cls_linear", "embedding_dim": 64, "eps": 1e-5, "classes": 2, "positive": [0, 1]}}, "all"),
        ({"head": {"kind": "cls_linear", "embedding_dim": 64, "eps": 1e-5, "positive": 0}}, "must be a list"),
        ({"head": {"kind": "cls_mean_linear", "embedding_dim": 128, "eps": 1e-5, "classes": 2}}, "has one class"),
        ({"resample": "sinc"}, "resample must be one of"),
        ({"architecture": "vit", "architecture_kwargs": {"depth": 1}}, "lacks 'embed_dim'"),
        ({"version": "1.0.0-" + "x" * 150}, "too long"),
        ({"version": "1.0.99999999999"}, "too large"),
        ({"sha256": "0" * 64}, "do not belong together"),
        ({"name": "\x1b[2J"}, "name must be"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(
    registry: Registry, make: Make, changes: dict[str, Any], sentence: str
) -> None:
    folder = make()
    rewrite(folder, **changes)
    with pytest.raises(CheckpointError, match=sentence) as caught:
        Registry(registry.folder).add_folder(folder, source="x")
    assert "\n" not in str(caught.value)
    whole(registry)


def test_a_deeply_nested_card_is_refused(registry: Registry, make: Make) -> None:
    folder = make()
    text = (folder / "model.json").read_text().replace('"card": {}', '"card": {"a": ' + "[" * 500 + "]" * 500 + "}")
    (folder / "model.json").write_text(text)
    with pytest.raises(CheckpointError, match="nests more than"):
        registry.add_folder(folder, source="x", version="2.0.0")


def test_weights_that_change_while_they_are_copied_are_refused(
    registry: Registry, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make()
    copied = model_import._copy

    def torn(path: Path, target: Path) -> Any:
        yield from copied(path, target)
        if target.name == "model.safetensors":
            target.write_bytes(target.read_bytes()[:-4] + b"\x01\x02\x03\x04")

    monkeypatch.setattr(model_import, "_copy", torn)
    with pytest.raises(CheckpointError, match="do not belong together"):
        registry.add_folder(source, source="x")
    whole(registry)


def test_odd_folders_are_refused(registry: Registry, make: Make, tmp_path: Path) -> None:
    source = make()
    (source / "README.md").write_bytes(b"x" * (5 << 20))
    with pytest.raises(CheckpointError, match=r"README\.md is too large"):
        registry.add_folder(source, source="x")
    (source / "README.md").unlink()
    (source / "README.md").symlink_to("/etc/passwd")
    with pytest.raises(CheckpointError, match="leaves its folder"):
        registry.add_folder(source, source="x")
    (source / "README.md").unlink()
    inner = source / "a"
    inner.symlink_to(tmp_path)
    assert registry.add_folder(source, source="x").version == "1.0.0"
    whole(registry, "1.0.0")


def test_what_is_found_in_a_version_later_is_reported_and_never_followed(registry: Registry, make: Make) -> None:
    folder = registry.add_folder(make(), source="x").folder
    os.mkfifo(folder / "pipe")
    (folder / "dangling").symlink_to("/nowhere")
    problems = registry.verify("1.0.0")
    assert problems == [
        "dangling was not there when the model was added.",
        "pipe was not there when the model was added.",
    ]
    with pytest.raises(OperatorError, match="is damaged"):
        registry.servable("1.0.0")
    registry.remove("1.0.0")
    whole(registry)


def test_progress_may_be_interrupted(registry: Registry, make: Make) -> None:
    def interrupt(stage: str, *_: int) -> None:
        if stage == "storing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registry.add_folder(make(), source="x", progress=interrupt)
    whole(registry)
    no_progress("done", 0, 0)


def test_other_checkpoints_below_a_folder_are_not_copied(registry: Registry, make: Make) -> None:
    source = make()
    shutil.copytree(make("0.1.0"), source / "step-100")
    folder = registry.add_folder(source, source="x").folder
    assert not [path for path in folder.iterdir() if path.is_dir()]


class Interleaved(Registry):
    """Another command begins right after this one has looked a version up, and gets a moment to finish."""

    def __init__(self, folder: Path, meanwhile: Callable[[], None]) -> None:
        super().__init__(folder, examine=cheap)
        self._meanwhile: Callable[[], None] | None = meanwhile
        self.other = threading.Thread(target=self._run)
        self.refused = ""

    def get(self, version: str) -> ModelVersion:
        found = super().get(version)
        if not self.other.ident:
            self.other.start()
            self.other.join(0.3)
        return found

    def _run(self) -> None:
        try:
            assert self._meanwhile is not None
            self._meanwhile()
        except OperatorError as error:
            self.refused = str(error)


def test_a_version_is_not_removed_between_the_look_and_the_pointer(registry: Registry, make: Make) -> None:
    registry.add_folder(make(), source="x")
    slow = Interleaved(registry.folder, lambda: registry.remove("1.0.0"))
    slow.activate("1.0.0", over="", why="swap")
    slow.other.join(10)
    assert registry.active() == "1.0.0"
    assert registry.servable("1.0.0")
    assert "is the active one" in slow.refused


def test_a_version_does_not_become_active_between_the_look_and_its_removal(registry: Registry, make: Make) -> None:
    registry.add_folder(make(), source="x")
    slow = Interleaved(registry.folder, lambda: registry.activate("1.0.0", over="", why="swap"))
    slow.remove("1.0.0")
    slow.other.join(10)
    assert registry.active() is None
    assert "There is no model version '1.0.0'" in slow.refused


@pytest.mark.parametrize("again", [False, True])
def test_a_member_is_not_removed_or_replaced_between_the_look_and_the_ensembles_place(
    registry: Registry, make: Make, tmp_path: Path, again: bool
) -> None:
    one = registry.add_folder(make(), source="x")
    ensemble = EnsembleConfig("both", "3.0.0", (Member(read_config(one.folder).sha256, version="1.0.0"),))
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "ensemble.json").write_text(ensemble.to_json())

    def examined(folder: Path, *rest: object) -> Findings:
        registry.remove("1.0.0")
        if again:
            registry.add_folder(make(seed=1), source="x")
        return Findings(32, (0.0, 1.0), None)

    says = "holds weights with sha256" if again else "There is no model version '1.0.0'"
    with pytest.raises(OperatorError, match=says):
        Registry(registry.folder, examine=examined).add_folder(tmp_path / "both", source="x")
    assert [item.version for item in registry.versions()] == ["bundled", "1.0.0"][: 2 if again else 1]


def test_looking_at_a_model_changes_nothing(make: Make) -> None:
    folder = make()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    folder.chmod(0o500)
    assert model_import.describe(folder).version == "1.0.0"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    folder.chmod(0o700)
