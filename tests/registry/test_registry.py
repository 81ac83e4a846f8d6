"""The registry: what enters, what is refused, the pointer, and that it stays whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streetvision.errors import OperatorError
from streetvision.models.checkpoint import load_checkpoint, save_checkpoint
from streetvision.models.checks import CheckpointError
from streetvision.models.embedding_distance import known_embeddings
from streetvision.models.ensemble import EnsembleConfig, Member, Resolve
from streetvision.models.folder import read_config
from streetvision.models.network import build, tiny_config
from streetvision.models.router import RouterConfig, Stack
from streetvision.models.versions import version_order
from streetvision.registry.model_import import Findings, ImportProgress, no_progress, read_golden
from streetvision.registry.registry import Registry

Make = Callable[..., Path]


def cheap(folder: Path, resolve: Resolve, progress: ImportProgress = no_progress) -> Findings:
    """Loading without the golden pictures: most tests are about the folders."""
    config, _ = load_checkpoint(folder)
    return Findings(config.input_size, (0.0, 1.0), config.why_not_servable)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models", now=lambda: 1_800_000_000.0, examine=cheap)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def call(
        version: str = "1.0.0",
        *,
        seed: int = 0,
        name: str = "mine",
        card: dict[str, Any] | None = None,
        created: str = "",
    ) -> Path:
        torch.manual_seed(seed)
        config = replace(
            tiny_config(name=name, version=version, depth=1, width=64), input_size=32, card=card or {}, created=created
        )
        folder = tmp_path / f"source-{version}-{seed}"
        save_checkpoint(folder, config, build(config).state_dict(), overwrite=True)
        return folder

    return call


def leftovers(registry: Registry) -> list[str]:
    return [path.name for path in registry.folder.glob(".incoming-*")]


def test_a_folder_becomes_a_version(registry: Registry, make: Make) -> None:
    source = make(card={"metrics": {"mcc": 0.9}}, created="2026-11-20T10:00:00+00:00")
    added = registry.add_folder(source, source=str(source))
    assert (added.version, added.name, added.kind, added.servable, added.why_not) == (
        "1.0.0",
        "mine",
        "checkpoint",
        True,
        None,
    )
    assert added.added == "2027-01-15T08:00:00+00:00"
    assert added.created == "2026-11-20T10:00:00+00:00"
    assert added.metrics == {"mcc": 0.9}
    assert registry.get("1.0.0") == added == registry.servable("1.0.0")
    assert [item.version for item in registry.versions()] == ["bundled", "1.0.0"]
    assert sorted(path.name for path in added.folder.iterdir()) == [
        "entry.json",
        "golden.json",
        "model.json",
        "model.safetensors",
    ]
    assert registry.verify("1.0.0") == []
    assert leftovers(registry) == []


def test_a_real_look_at_the_golden_pictures_is_recorded(tmp_path: Path, make: Make) -> None:
    registry, seen = Registry(tmp_path / "models"), []
    added = registry.add_folder(make(), source="x", progress=lambda *step: seen.append(step))
    golden = read_golden(added.folder)
    assert golden is not None
    assert len(golden) == 16
    assert len(set(golden)) > 1
    assert {stage for stage, _, _ in seen} == {"copying", "loading", "trying", "storing"}
    assert registry.verify("1.0.0") == []
    assert registry.verify("bundled") == []


def test_one_answer_for_every_golden_picture_may_not_serve(tmp_path: Path, make: Make) -> None:
    registry, source = Registry(tmp_path / "models"), make()
    config, state = load_checkpoint(source)
    weights = {name: 0.0 * value if name == "head.fc.weight" else value for name, value in state.items()}
    save_checkpoint(source, config, weights, overwrite=True)
    added = registry.add_folder(source, source="x")
    assert not added.servable
    assert added.why_not is not None
    assert added.why_not.startswith("it gives every golden picture the same answer (logit ")
    with pytest.raises(OperatorError, match=r"1\.0\.0 may not serve: it gives every golden picture the same answer"):
        registry.servable("1.0.0")


def test_versions_come_in_semantic_order(registry: Registry, make: Make) -> None:
    for version in ("1.10.0", "1.2.0", "1.2.0-rc.2", "1.2.0-rc.10"):
        registry.add_folder(make("1.0.0"), source="x", version=version)
    versions = [item.version for item in registry.versions()]
    assert versions == ["bundled", "1.2.0-rc.2", "1.2.0-rc.10", "1.2.0", "1.10.0"]
    assert load_checkpoint(registry.get("1.10.0").folder)[0].version == "1.10.0"


@pytest.mark.parametrize(
    "ordered",
    [["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0"]],
)
def test_the_order_is_that_of_the_specification(ordered: list[str]) -> None:
    assert sorted([*ordered[3:], *ordered[:3]], key=version_order) == ordered


def test_the_same_again_is_no_error_and_other_content_is(registry: Registry, make: Make) -> None:
    first = registry.add_folder(make(), source="here")
    assert registry.add_folder(make(), source="there") == first
    with pytest.raises(OperatorError, match=r"1\.0\.0 exists already with other content"):
        registry.add_folder(make(seed=1), source="x")
    assert registry.add_folder(make(seed=1), source="x", version="1.0.1").version == "1.0.1"
    assert leftovers(registry) == []


@pytest.mark.parametrize("version", ["1.0", "../../x", "bundled", "1.0.0/..", "", "v1.0.0"])
def test_a_version_is_a_semantic_version(registry: Registry, make: Make, version: str) -> None:
    with pytest.raises(OperatorError, match="no semantic version"):
        registry.add_folder(make(), source="x", version=version)
    with (
        pytest.raises(OperatorError, match="no model version") if version != "bundled" else pytest.raises(OperatorError)
    ):
        registry.remove(version)


def test_an_unknown_version_lists_what_is_there(registry: Registry, make: Make) -> None:
    registry.add_folder(make(), source="x")
    with pytest.raises(OperatorError, match=r"no model version '9\.9\.9' .* there are: bundled, 1\.0\.0\."):
        registry.get("9.9.9")


def test_the_pointer_survives_and_knows_the_last_good_one(registry: Registry, make: Make) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        registry.add_folder(make(version), source="x")
    assert (registry.active(), registry.previous(), registry.steps()) == (None, None, ())
    registry.activate("1.0.0", over="bundled", why="swap")
    assert (registry.active(), registry.previous()) == ("1.0.0", None)
    registry.activate("1.1.0", over="bundled", why="swap")
    again = Registry(registry.folder)
    assert (again.active(), again.previous()) == ("1.1.0", "1.0.0")
    assert again.steps()[-1].over == "bundled"
    registry.activate("1.0.0", over="bundled", why="it answered NaN", rollback=True)
    assert (registry.active(), registry.previous()) == ("1.0.0", None)
    registry.activate("1.2.0", over="bundled", why="swap")
    assert registry.previous() == "1.0.0"
    registry.activate("1.1.0", over="bundled", why="tried again")
    registry.activate("1.2.0", over="bundled", why="swap")
    assert registry.previous() == "1.1.0"
    registry.release(over="bundled", why="--model changed")
    assert (registry.active(), registry.previous()) == (None, "1.2.0")


def test_the_history_is_short(registry: Registry, make: Make) -> None:
    registry.add_folder(make(), source="x")
    for _ in range(60):
        registry.activate("1.0.0", over="", why="again")
    assert len(registry.steps()) == 50


def test_removing_spares_what_serves_and_what_a_rollback_needs(registry: Registry, make: Make) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        registry.add_folder(make(version), source="x")
        registry.activate(version, over="", why="swap")
    with pytest.raises(OperatorError, match=r"1\.2\.0 is the active one"):
        registry.remove("1.2.0")
    with pytest.raises(OperatorError, match=r"1\.1\.0 is the last good one"):
        registry.remove("1.1.0")
    with pytest.raises(OperatorError, match="part of the package"):
        registry.remove("bundled")
    registry.remove("1.0.0")
    assert [item.version for item in registry.versions()] == ["bundled", "1.1.0", "1.2.0"]
    assert leftovers(registry) == []


def test_an_untrained_model_is_kept_but_may_not_serve(registry: Registry, make: Make) -> None:
    registry.add_folder(make(card={"untrained": True}), source="x")
    assert registry.get("1.0.0").servable is False
    for forbidden in (
        lambda: registry.servable("1.0.0"),
        lambda: registry.activate("1.0.0", over="", why="x"),
    ):
        with pytest.raises(OperatorError, match=r"1\.0\.0 may not serve: its head is fresh"):
            forbidden()
    assert registry.active() is None
    assert registry.verify("1.0.0") == []


def test_changed_files_are_found(registry: Registry, make: Make) -> None:
    folder = registry.add_folder(make(), source="x").folder
    (folder / "golden.json").write_text("{}")
    (folder / "extra").write_text("x")
    assert registry.verify("1.0.0") == [
        "extra was not there when the model was added.",
        "golden.json has changed since the model was added.",
    ]
    with pytest.raises(OperatorError, match="is damaged"):
        registry.servable("1.0.0")
    (folder / "model.safetensors").unlink()
    assert any("has no model.safetensors" in problem for problem in registry.verify("1.0.0"))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', "\x00"])
def test_a_damaged_entry_is_listed_and_can_be_removed(registry: Registry, make: Make, text: str) -> None:
    folder = registry.add_folder(make(), source="x").folder
    (folder / "entry.json").write_text(text)
    (listed,) = registry.versions()[1:]
    assert not listed.servable
    assert listed.why_not is not None
    assert "add it again" in listed.why_not
    assert len(registry.verify("1.0.0")) == 1
    registry.remove("1.0.0")
    assert len(registry.versions()) == 1


def test_a_moved_entry_is_damaged(registry: Registry, make: Make) -> None:
    folder = registry.add_folder(make(), source="x").folder
    folder.rename(folder.with_name("2.0.0"))
    with pytest.raises(OperatorError, match=r"names version '1\.0\.0'"):
        registry.servable("2.0.0")


def test_a_damaged_pointer_is_one_sentence(registry: Registry) -> None:
    registry.folder.mkdir()
    for text in ("", "{}", '{"history": 3}', '{"history": [{"version": 3}]}', '{"history": [{"surprise": 3}]}'):
        (registry.folder / "active.json").write_text(text)
        with pytest.raises(OperatorError, match=r"active\.json is damaged"):
            registry.active()


def test_links_that_leave_the_folder_are_refused(registry: Registry, make: Make, tmp_path: Path) -> None:
    source = make()
    (source / "model.safetensors").rename(tmp_path / "elsewhere")
    (source / "model.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="leaves its folder"):
        registry.add_folder(source, source="x")
    (source / "model.safetensors").unlink()
    os.mkfifo(source / "model.safetensors")
    with pytest.raises(CheckpointError, match="not a regular file"):
        registry.add_folder(source, source="x")
    assert [item.version for item in registry.versions()] == ["bundled"]
    assert leftovers(registry) == []


def test_only_the_model_is_copied(registry: Registry, make: Make) -> None:
    source = make()
    for name in ("optimizer.pt", "golden.json", "entry.json", "notes.txt"):
        (source / name).write_text("x")
    (source / "README.md").write_text("words")
    names = {path.name for path in registry.add_folder(source, source="x").folder.iterdir()}
    assert names == {"README.md", "model.json", "model.safetensors", "golden.json", "entry.json"}
    assert json.loads((registry.get("1.0.0").folder / "golden.json").read_text())["logits"] == [0.0, 1.0]


def test_an_ensemble_holds_its_members(registry: Registry, make: Make, tmp_path: Path) -> None:
    one = registry.add_folder(make("1.0.0"), source="x")
    two = make("2.0.0", seed=1)
    folder = tmp_path / "both"
    shutil.copytree(two, folder / "parts" / "two")
    members = (
        Member(read_config(one.folder).sha256, version="1.0.0"),
        Member(read_config(two).sha256, folder="parts/two", weight=3.0),
    )
    (folder / "ensemble.json").write_text(EnsembleConfig("both", "3.0.0", members).to_json())
    full = Registry(registry.folder)
    added = full.add_folder(folder, source="x")
    assert (added.kind, added.name, added.servable) == ("ensemble", "both", True)
    assert (added.folder / "parts" / "two" / "model.safetensors").is_file()
    assert full.verify("3.0.0") == []
    ours = read_golden(added.folder)
    first, second = (
        full.add_folder(path, source="x", version=v) for path, v in ((one.folder, "4.0.0"), (two, "5.0.0"))
    )
    assert ours == pytest.approx(
        [
            (a + 3 * b) / 4
            for a, b in zip(read_golden(first.folder) or (), read_golden(second.folder) or (), strict=True)
        ]
    )
    with pytest.raises(OperatorError, match=r"a member of the ensemble 3\.0\.0"):
        registry.remove("1.0.0")
    assert registry.servable("3.0.0").kind == "ensemble"
    whole = (one.folder / "model.json").read_text()
    (one.folder / "model.json").write_text(whole.replace('"temperature": 1.0', '"temperature": 2.0'))
    with pytest.raises(OperatorError, match=r"1\.0\.0 is damaged \(model\.json has changed"):
        registry.servable("3.0.0")
    registry.remove("3.0.0")
    registry.remove("1.0.0")
    with pytest.raises(OperatorError, match=r"no model version '1\.0\.0'"):
        full.add_folder(folder, source="x")


def test_a_router_is_looked_at_before_it_becomes_a_version(registry: Registry, make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "routed"
    members = []
    for seed, name in enumerate(("a", "b")):
        shutil.copytree(make(f"{seed + 1}.0.0", seed=seed), folder / name)
        members.append(Member(read_config(folder / name).sha256, folder=name))
    dim = read_config(folder / "a").head.embedding_dim
    full = Registry(registry.folder)

    def write(dim: int) -> None:
        data = known_embeddings(np.random.default_rng(0).normal(size=(9, dim))).to_bytes()
        (folder / "router.safetensors").write_bytes(data)
        router = RouterConfig(
            band=0.5, distance=1.0, sha256=hashlib.sha256(data).hexdigest(), stack=Stack(2.0, 1.0, 0.5)
        )
        text = EnsembleConfig("routed", "3.0.0", tuple(members), router=router).to_json()
        (folder / "ensemble.json").write_text(text)

    write(dim + 1)
    with pytest.raises(OperatorError, match="combine the members anew"):
        full.add_folder(folder, source="x")
    assert leftovers(registry) == []
    write(dim)
    added = full.add_folder(folder, source="x")
    assert (added.folder / "router.safetensors").is_file()
    assert full.verify("3.0.0") == []
    ones = [full.add_folder(folder / name, source="x", version=f"{at}.0.0") for at, name in ((4, "a"), (5, "b"))]
    first, second = (read_golden(one.folder) or () for one in ones)
    assert read_golden(added.folder) == pytest.approx([2 * a + b + 0.5 for a, b in zip(first, second, strict=True)])
    whole = (added.folder / "router.safetensors").read_bytes()
    (added.folder / "router.safetensors").write_bytes(whole[:-4] + b"\0\0\0\1")
    with pytest.raises(OperatorError, match=r"damaged \(router\.safetensors has changed"):
        full.servable("3.0.0")
