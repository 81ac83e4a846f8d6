"""Ensembles on disk: what the description may say, where members may lie, and whose weights they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from streetvision.errors import OperatorError
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.checks import CheckpointError
from streetvision.models.config import ModelConfig
from streetvision.models.ensemble import (
    EnsembleConfig,
    Member,
    is_ensemble,
    member_configs,
    member_folders,
    read_ensemble,
)
from streetvision.models.folder import bundled_checkpoint, read_config
from streetvision.models.network import build, tiny_config
from streetvision.models.router import RouterConfig, Stack

CONFIG = replace(tiny_config(depth=1, width=64, version="1.0.0"), input_size=32)
HASH = "ab" * 32
ENSEMBLE = EnsembleConfig(
    "pair",
    "2.0.0",
    (Member(HASH, folder="members/a"), Member("cd" * 32, version="1.0.0", weight=0.5)),
    ("plain", "hflip", "tiles:2x2@0.2"),
    "2026-11-22T10:00:00+00:00",
    {"data": "none"},
)


def checkpoint(folder: Path, seed: int = 0) -> ModelConfig:
    torch.manual_seed(seed)
    return save_checkpoint(folder, CONFIG, build(CONFIG).state_dict())


def write(folder: Path, ensemble: EnsembleConfig) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ensemble.json").write_text(ensemble.to_json())
    return folder


def test_a_description_reads_back_equal() -> None:
    assert EnsembleConfig.from_json(ENSEMBLE.to_json()) == ENSEMBLE
    member = json.loads(ENSEMBLE.to_json())["members"][1]
    assert member == {"sha256": "cd" * 32, "version": "1.0.0", "weight": 0.5}


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"format": 2}, "format 2 is not 1; update streetvision"),
    ({"format": True}, "format True is not 1"),
    ({"name": ""}, "name must be one line of 1 to 200 printable characters"),
    ({"version": "two"}, "version must be a semantic version"),
    ({"views": "plain"}, "views must be a list"),
    ({"views": ["hflip"]}, "the first view must be 'plain'"),
    ({"views": [["plain"]]}, "is no view"),
    ({"members": {}}, "members must be a list"),
    ({"members": []}, "members must be 1 to 8, not 0"),
    ({"members": ["a"]}, "a member must be an object"),
    ({"members": [{"folder": "a"}]}, "a member lacks the key 'sha256'"),
    ({"members": [{"folder": "a", "sha256": HASH, "url": "x"}]}, "a member has the unknown key 'url'"),
    ({"members": [{"sha256": HASH}]}, "a member needs either a folder or a version"),
    ({"members": [{"sha256": HASH, "folder": "a", "version": "1.0.0"}]}, "either a folder or a version"),
    ({"members": [{"sha256": HASH, "folder": "../a"}]}, "must lie inside the ensemble's own, not at '../a'"),
    ({"members": [{"sha256": HASH, "folder": "/a"}]}, "must lie inside the ensemble's own"),
    ({"members": [{"sha256": HASH, "folder": "."}]}, "must lie inside the ensemble's own"),
    ({"members": [{"sha256": HASH, "folder": "a\\b"}]}, "must lie inside the ensemble's own"),
    ({"members": [{"sha256": HASH, "folder": "a\0"}]}, "must be one line"),
    ({"members": [{"sha256": HASH, "folder": 5}]}, "a member's folder must be text"),
    ({"members": [{"sha256": HASH, "version": "../1.0.0"}]}, "a member's version must be a semantic version"),
    ({"members": [{"sha256": HASH.upper(), "folder": "a"}]}, "a member's sha256 must be 64 hexadecimal digits"),
    ({"members": [{"sha256": HASH, "folder": "a", "weight": 0}]}, "a member's weight must be from 0.001 to 1000"),
    ({"members": [{"sha256": HASH, "folder": "a", "weight": True}]}, "a member's weight must be a number"),
    ({"members": [{"sha256": HASH, "folder": "a"}, {"sha256": HASH, "folder": "./a"}]}, "a member is named twice"),
    ({"members": [{"sha256": HASH, "version": "2.0.0"}]}, "the ensemble 2.0.0 cannot be its own member"),
    ({"members": [{"sha256": HASH, "folder": str(n)} for n in range(9)]}, "members must be 1 to 8, not 9"),
    (
        {"views": ["plain", "tiles:4x4", "tiles:4x4+hflip"]},
        "members times views, tiles counted, must be at most 64, not 66",
    ),
    ({"created": "yesterday"}, "created must be an ISO 8601 time"),
    ({"card": []}, "card must be an object"),
    ({"extra": 1}, "ensemble.json has the unknown key 'extra'"),
]


@pytest.mark.parametrize(("change", "sentence"), CHANGES)
def test_a_wrong_description_is_refused_with_a_sentence(change: dict[str, Any], sentence: str) -> None:
    data = json.loads(ENSEMBLE.to_json()) | change
    with pytest.raises(CheckpointError) as caught:
        EnsembleConfig.from_json(json.dumps(data))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": NaN}', "[" * 100_000])
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError):
        EnsembleConfig.from_json(text)


def test_every_key_is_needed() -> None:
    for name in json.loads(ENSEMBLE.to_json()):
        data = json.loads(ENSEMBLE.to_json())
        del data[name]
        with pytest.raises(CheckpointError, match=f"lacks the key '{name}'"):
            EnsembleConfig.from_json(json.dumps(data))


def test_members_lie_inside_or_beside_the_ensemble_or_in_the_package(tmp_path: Path) -> None:
    inner = checkpoint(tmp_path / "2.0.0" / "members" / "a")
    beside = checkpoint(tmp_path / "1.0.0", seed=1)
    bundled = read_config(bundled_checkpoint())
    members = (
        Member(inner.sha256, folder="members/a"),
        Member(beside.sha256, version="1.0.0"),
        Member(bundled.sha256, version="bundled"),
    )
    folder = write(tmp_path / "2.0.0", replace(ENSEMBLE, members=members))
    assert is_ensemble(folder)
    assert not is_ensemble(tmp_path / "1.0.0")
    found = member_folders(folder, read_ensemble(folder))
    assert found == (folder / "members" / "a", tmp_path / "1.0.0", bundled_checkpoint())
    assert member_configs(folder, read_ensemble(folder)) == (inner, beside, bundled)


def test_a_registry_may_say_where_its_versions_are(tmp_path: Path) -> None:
    config = checkpoint(tmp_path / "elsewhere")
    ensemble = replace(ENSEMBLE, members=(Member(config.sha256, version="1.0.0"),))
    folder = write(tmp_path / "pair", ensemble)
    assert member_configs(folder, ensemble, lambda version: tmp_path / "elsewhere") == (config,)
    with pytest.raises(OperatorError, match=r"add 1\.0\.0 to the registry first"):
        member_configs(folder, ensemble)


def test_a_member_with_other_weights_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path / "pair" / "a")
    folder = write(tmp_path / "pair", replace(ENSEMBLE, members=(Member(HASH, folder="a"),)))
    with pytest.raises(CheckpointError, match=r"The member a holds weights with sha256 .* names abab"):
        member_configs(folder, read_ensemble(folder))


def test_a_member_may_not_be_an_ensemble(tmp_path: Path) -> None:
    folder = write(tmp_path / "pair", replace(ENSEMBLE, members=(Member(HASH, folder="a"),)))
    write(folder / "a", ENSEMBLE)
    with pytest.raises(CheckpointError, match="The member a is an ensemble itself"):
        member_configs(folder, read_ensemble(folder))


def test_a_link_must_not_lead_out_of_the_ensemble(tmp_path: Path) -> None:
    config = checkpoint(tmp_path / "outside")
    folder = write(tmp_path / "pair", replace(ENSEMBLE, members=(Member(config.sha256, folder="a"),)))
    (folder / "a").symlink_to(tmp_path / "outside")
    with pytest.raises(CheckpointError, match="leads out of"):
        member_configs(folder, read_ensemble(folder))


def test_a_missing_member_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "pair", replace(ENSEMBLE, members=(Member(HASH, folder="gone"),)))
    with pytest.raises(CheckpointError, match="gone is not a folder"):
        member_configs(folder, read_ensemble(folder))


ROUTED = replace(ENSEMBLE, views=("plain",), router=RouterConfig(band=1.5, stack=Stack(0.4, 0.8, -0.1)))


def test_a_router_reads_back_equal_and_stays_out_of_descriptions_without_one() -> None:
    assert EnsembleConfig.from_json(ROUTED.to_json()) == ROUTED
    far = replace(ROUTED, router=RouterConfig(band=1.5, distance=2.0, sha256=HASH))
    assert EnsembleConfig.from_json(far.to_json()) == far
    assert [one.router.rule for one in (ROUTED, far) if one.router] == ["unsure", "both"]
    assert "router" not in json.loads(ENSEMBLE.to_json())


def test_the_mixture_is_the_weighted_mean_or_the_routers_stack() -> None:
    (first, second), bias = ENSEMBLE.mixture
    assert [first, second, bias] == pytest.approx([2 / 3, 1 / 3, 0.0])
    assert ROUTED.mixture == ((0.4, 0.8), -0.1)


@pytest.mark.parametrize(
    ("router", "why"),
    [
        ({}, "a router needs a band or a distance"),
        (None, "router must hold a JSON object"),
        ({"band": -1.0}, "the router's band must be from 0"),
        ({"band": "wide"}, "the router's band must be a number"),
        ({"distance": 1.0}, "the router's sha256 must be 64 hexadecimal digits"),
        ({"band": 1.0, "sha256": HASH}, "the router's sha256 belongs to a distance"),
        ({"band": 1.0, "code": "x"}, "router has the unknown key 'code'"),
        ({"band": 1.0, "stack": [1, 2, 3]}, "the router's stack must be an object"),
        ({"band": 1.0, "stack": {"first": 1, "second": 1}}, r"router\.stack lacks the key 'bias'"),
        ({"band": 1.0, "stack": {"first": 1, "second": 1, "bias": 1e9}}, "the router's stack, bias, must be from"),
    ],
)
def test_a_wrong_router_is_refused_by_name(router: object, why: str) -> None:
    data = json.loads(ROUTED.to_json()) | {"router": router}
    with pytest.raises(CheckpointError, match=why):
        EnsembleConfig.from_json(json.dumps(data))


def test_a_router_stands_between_two_members_with_the_plain_view() -> None:
    with pytest.raises(CheckpointError, match="between two members, not 1"):
        replace(ROUTED, members=ROUTED.members[:1])
    with pytest.raises(CheckpointError, match="the plain view alone"):
        replace(ROUTED, views=("plain", "hflip"))
