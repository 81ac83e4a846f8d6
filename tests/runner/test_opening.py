"""From a folder to a runner: a checkpoint, an ensemble of unlike members, and what cannot be opened."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from streetvision.engine.ensemble import EnsembleRunner, Sight, members_of, router_of
from streetvision.engine.types import ImageArray, Runner, RunnerOutput
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.checks import CheckpointError
from streetvision.models.config import ModelConfig
from streetvision.models.embedding_distance import known_embeddings
from streetvision.models.ensemble import EnsembleConfig, Member, read_ensemble, sibling_versions
from streetvision.models.golden import golden_images
from streetvision.models.network import build, tiny_config
from streetvision.models.router import RouterConfig, Stack
from streetvision.models.views import parse_views
from streetvision.registry.model_import import examine
from streetvision.runner.opening import open_runner
from streetvision.runner.torch_runner import TorchRunner

SMALL = replace(tiny_config(depth=1, width=64, version="1.0.0"), input_size=48)
LARGE = replace(tiny_config(depth=2, width=64, version="1.1.0"), input_size=96, resize="crop", mean=(0.5, 0.5, 0.5))
IMAGES: ImageArray = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module", autouse=True)
def few_threads() -> None:
    torch.set_num_threads(1)


def checkpoint(folder: Path, config: ModelConfig, seed: int) -> ModelConfig:
    torch.manual_seed(seed)
    net = build(config)
    with torch.no_grad():
        net.head.fc.weight.normal_()
    return save_checkpoint(folder, config, net.state_dict())


def pair(registry: Path, *, views: tuple[str, ...] = ("plain", "hflip")) -> Path:
    """An ensemble in a registry: one member inside it, the other a version beside it."""
    folder = registry / "2.0.0"
    inner = checkpoint(folder / "small", SMALL, 1)
    beside = checkpoint(registry / "1.1.0", LARGE, 2)
    members = (Member(inner.sha256, folder="small"), Member(beside.sha256, version="1.1.0", weight=3.0))
    config = EnsembleConfig("pair", "2.0.0", members, views)
    (folder / "ensemble.json").write_text(config.to_json())
    return folder


def opened(folder: Path) -> Runner:
    return open_runner(folder, device="cpu", compile=False, threads=1, buckets=(1, 4))


def test_a_checkpoint_opens_as_its_own_runner(tmp_path: Path) -> None:
    checkpoint(tmp_path / "one", SMALL, 0)
    runner = opened(tmp_path / "one")
    assert isinstance(runner, TorchRunner)
    assert (runner.version, runner.buckets, runner.resize) == ("1.0.0", (1, 4), "squash")
    assert members_of(runner) == (runner,)
    assert Sight(runner).single


def test_an_ensemble_answers_with_the_weighted_mean_of_its_members(tmp_path: Path) -> None:
    runner = opened(pair(tmp_path))
    assert isinstance(runner, EnsembleRunner)
    assert (runner.version, runner.input_size, runner.resize, runner.buckets) == ("2.0.0", 48, "squash", (1, 4))
    small, large = (member.run for member in members_of(runner))
    doubled = IMAGES.repeat(2, axis=1).repeat(2, axis=2)
    expected = (small(IMAGES).logits + 3 * large(doubled).logits) / 4
    got = runner.run(IMAGES)
    np.testing.assert_allclose(got.logits, expected, atol=1e-5)
    assert got.logits.dtype == np.float32
    np.testing.assert_array_equal(got.embeddings, small(IMAGES).embeddings)


def test_warm_up_reaches_every_member(tmp_path: Path) -> None:
    runner = open_runner(pair(tmp_path), device="cpu", compile=False, threads=1, buckets=(1, 4))
    assert isinstance(runner, EnsembleRunner)
    first = runner.warmup(runner.buckets)
    assert runner.seconds[0] == first
    assert set(runner.seconds[1]) == {1, 4}
    assert runner.warmup(()) == {}
    assert set(runner.seconds[0]) == {1, 4}


def test_the_passes_know_each_members_size_rule_and_weight(tmp_path: Path) -> None:
    sight = Sight(opened(pair(tmp_path)))
    assert not sight.single
    passes = sight.passes(640, 480)
    assert [(p.member, p.look.frame.size, p.look.flip, p.weight) for p in passes] == [
        (0, 48, "", 1.0),
        (1, 96, "", 3.0),
        (0, 48, "hflip", 1.0),
        (1, 96, "hflip", 3.0),
    ]
    assert passes[1].look.frame.box == (0.125, 0.0, 0.875, 1.0)
    assert sight.views == parse_views(["plain", "hflip"])


def test_the_passes_of_equal_runners_fit_each_other(tmp_path: Path) -> None:
    folder = pair(tmp_path)
    assert Sight(opened(folder)).geometry == Sight(opened(folder)).geometry
    assert Sight(opened(folder)).geometry != Sight(opened(tmp_path / "1.1.0")).geometry


def test_a_member_with_damaged_weights_is_refused(tmp_path: Path) -> None:
    folder = pair(tmp_path)
    weights = tmp_path / "1.1.0" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(CheckpointError, match="damaged"):
        opened(folder)


def test_a_missing_version_is_named_before_any_weights_are_read(tmp_path: Path) -> None:
    folder = pair(tmp_path)
    (tmp_path / "1.1.0").rename(tmp_path / "1.1.1")
    with pytest.raises(CheckpointError, match=r"add 1\.1\.0 to the registry first"):
        opened(folder)
    found = open_runner(folder, device="cpu", compile=False, buckets=(1,), resolve=lambda _: tmp_path / "1.1.1")
    assert found.version == "2.0.0"


def test_members_must_match_their_description(tmp_path: Path) -> None:
    runner = opened(pair(tmp_path))
    assert isinstance(runner, EnsembleRunner)
    with pytest.raises(ValueError, match="2 members are described but 1 were given"):
        EnsembleRunner(runner.members[:1], runner.config)
    other = open_runner(tmp_path / "1.1.0", device="cpu", compile=False, buckets=(1,))
    with pytest.raises(ValueError, match="the same buckets"):
        EnsembleRunner([runner.members[0], other], runner.config)


def routed(registry: Path, known: bytes) -> Path:
    """The pair with a router that measures distances from what `known` holds."""
    folder = pair(registry, views=("plain",))
    (folder / "router.safetensors").write_bytes(known)
    router = RouterConfig(0.5, 1.0, hashlib.sha256(known).hexdigest(), Stack(0.7, 0.6, -0.2))
    config = replace(read_ensemble(folder), router=router)
    (folder / "ensemble.json").write_text(config.to_json())
    return folder


def embeddings(dim: int) -> bytes:
    return known_embeddings(np.random.default_rng(0).normal(size=(20, dim))).to_bytes()


def test_a_router_opens_with_what_it_measures_against(tmp_path: Path) -> None:
    runner = opened(routed(tmp_path, embeddings(SMALL.head.embedding_dim)))
    router = router_of(runner)
    assert router is not None
    output = members_of(runner)[0].run(IMAGES)
    assert router.asks(output).shape == (3,)
    assert router.asks(RunnerOutput(output.logits * 0, output.embeddings)).all()


def test_a_router_answers_the_golden_pictures_as_the_registry_recorded_it(tmp_path: Path) -> None:
    folder = routed(tmp_path, embeddings(SMALL.head.embedding_dim))
    recorded = examine(folder, sibling_versions(folder)).logits
    runner = open_runner(folder, device="cpu", compile=False, threads=1, buckets=(16,))
    np.testing.assert_allclose(runner.run(golden_images(runner.input_size)).logits, recorded, atol=1e-4)


def test_a_router_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = routed(tmp_path, embeddings(7))
    with pytest.raises(CheckpointError, match="combine the members anew"):
        opened(folder)
    (folder / "router.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has no router\.safetensors"):
        opened(folder)
