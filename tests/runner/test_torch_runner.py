"""The runner on the CPU with timm's forward: buckets, padding, failure, and that nothing is compiled."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.exc import FailOnRecompileLimitHit

from streetvision.engine.background_priority import Deference
from streetvision.engine.types import ImageArray, Runner, RunnerFailure
from streetvision.errors import ConfigError, OperatorError
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.network import LoadedModel, StreetVisionNet, build, tiny_config
from streetvision.runner import forward as serving_module
from streetvision.runner.cuda_graphs import Forward
from streetvision.runner.torch_runner import TorchRunner, WarmupStep

CONFIG = replace(tiny_config(depth=2, width=64, version="1.2.3"), input_size=48, temperature=1.6, threshold=0.3)
IMAGES: ImageArray = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 3), dtype=np.uint8)
# float32 sums in another order for another batch size.
BATCH_BOUND = 1e-5


def network(seed: int = 0) -> StreetVisionNet:
    torch.manual_seed(seed)
    net = build(replace(CONFIG, architecture_kwargs={**CONFIG.architecture_kwargs, "init_values": 1.0}))
    with torch.no_grad():
        net.head.fc.weight.normal_()
    return net.eval()


def eager(net: StreetVisionNet | None = None, **options: Any) -> TorchRunner:
    settings: dict[str, Any] = {"device": "cpu", "buckets": (1, 4, 8), "compile": False, "fast": False} | options
    return TorchRunner(LoadedModel(net or network(), CONFIG), **settings)


@pytest.fixture(scope="module", autouse=True)
def few_threads() -> None:
    torch.set_num_threads(2)


def test_it_is_a_runner_that_names_its_model(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model", CONFIG, network().state_dict())
    runner: Runner = TorchRunner(tmp_path / "model", device="cpu", buckets=(4, 1, 4), compile=False, fast=False)
    assert (runner.version, runner.input_size, runner.buckets) == ("1.2.3", 48, (1, 4))
    np.testing.assert_array_equal(runner.run(IMAGES[:4]).logits, eager().run(IMAGES[:4]).logits)


@pytest.mark.parametrize("count", range(1, 9))
def test_it_answers_what_the_network_answers_at_every_batch_size(count: int) -> None:
    with torch.inference_mode():
        logits, embeddings = network().forward_uint8(torch.from_numpy(IMAGES[:count].copy()))
    got = eager().run(IMAGES[:count])
    assert got.logits.shape == (count,)
    assert got.logits.dtype == got.embeddings.dtype == np.float32
    np.testing.assert_allclose(got.logits, logits.numpy(), rtol=0, atol=BATCH_BOUND)
    np.testing.assert_allclose(got.embeddings, embeddings.numpy(), rtol=0, atol=BATCH_BOUND)


def test_what_an_earlier_batch_left_in_the_padding_changes_nothing() -> None:
    runner = eager()
    first = runner.run(IMAGES[:3])
    runner.run(255 - IMAGES)
    again = runner.run(IMAGES[:3])
    np.testing.assert_array_equal(first.logits, again.logits)
    np.testing.assert_array_equal(first.embeddings, again.embeddings)


def test_an_answer_is_not_overwritten_by_the_next_run() -> None:
    runner = eager()
    first = runner.run(IMAGES[:4])
    kept = first.logits.copy(), first.embeddings.copy()
    runner.run(255 - IMAGES[:4])
    np.testing.assert_array_equal(first.logits, kept[0])
    np.testing.assert_array_equal(first.embeddings, kept[1])


def test_read_only_images_are_welcome() -> None:
    images = IMAGES[:2].copy()
    images.flags.writeable = False
    np.testing.assert_array_equal(eager().run(images).logits, eager().run(IMAGES[:2]).logits)


@pytest.mark.parametrize(
    "images",
    [
        IMAGES[:0],
        np.concatenate((IMAGES, IMAGES)),
        IMAGES.astype(np.float32),
        IMAGES[:, :47],
        IMAGES[..., :1],
        IMAGES[0],
    ],
    ids=["none", "too many", "float", "small", "grey", "no batch"],
)
def test_images_of_another_shape_are_a_callers_error(images: ImageArray) -> None:
    with pytest.raises(ValueError, match="images must be uint8"):
        eager().run(images)


def test_warm_up_times_every_bucket_and_tells_of_each() -> None:
    steps: list[WarmupStep] = []
    seconds = eager(progress=steps.append).warmup()
    assert sorted(seconds) == [1, 4, 8]
    assert [(s.bucket, s.done, s.total) for s in steps] == [(8, 1, 3), (4, 2, 3), (1, 3, 3)]
    assert all(s.run_s == seconds[s.bucket] > 0 and s.compile_s > 0 for s in steps)


def test_warm_up_takes_a_part_of_the_buckets() -> None:
    assert list(eager().warmup([4])) == [4]


def test_a_bucket_never_warmed_says_so(caplog: pytest.LogCaptureFixture) -> None:
    runner = eager()
    runner.warmup([1])
    with caplog.at_level(logging.WARNING):
        runner.run(IMAGES[:1])
        assert caplog.messages == []
        runner.run(IMAGES[:2])
    assert caplog.messages == ["bucket 4 was not warmed up; preparing it while a request waits"]


def test_an_answer_that_is_not_finite_fails_the_batch() -> None:
    net = network()
    with torch.no_grad():
        net.backbone.get_parameter("blocks.1.mlp.fc1.weight").fill_(float("inf"))
    with pytest.raises(RunnerFailure, match="not finite"):
        eager(net).warmup()


def test_a_device_error_becomes_a_runner_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = eager()
    runner.warmup()

    def broken(_: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raise torch.OutOfMemoryError("out of memory\nand a long stack")

    monkeypatch.setitem(runner._ready, 1, broken)
    with pytest.raises(RunnerFailure) as caught:
        runner.run(IMAGES[:1])
    assert str(caught.value) == "the model failed on cpu: out of memory"
    assert runner.run(IMAGES[:2]).logits.shape == (2,)


def test_beside_serving_each_batch_size_runs_once() -> None:
    with ThreadPoolExecutor(1, initializer=Deference().join) as pool:
        seconds = pool.submit(eager(threads=2).warmup).result()
    assert sorted(seconds) == [1, 4, 8]
    assert all(value > 0 for value in seconds.values())


@pytest.mark.parametrize(("wish", "told"), [(True, 1), (None, 0), (False, 0)])
def test_on_a_cpu_nothing_is_compiled(wish: bool | None, told: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        runner = eager(compile=wish)
    assert not runner.compiled
    assert caplog.messages.count("nothing is compiled on a CPU, so --compile has no effect here") == told


@pytest.mark.parametrize("kind", [RuntimeError, FailOnRecompileLimitHit])
def test_a_compiler_that_fails_is_given_up_loudly(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on CUDA, where networks are compiled."""

    def broken(_: StreetVisionNet) -> Forward:
        raise kind("gcc: internal compiler error\nplease report")

    monkeypatch.setattr(serving_module, "compile_net", broken)
    runner, insisting = eager(compile=None), eager(compile=True)
    runner._serving.compiled = insisting._serving.compiled = True
    with caplog.at_level(logging.WARNING):
        runner.warmup()
    assert not runner.compiled
    assert caplog.messages == [
        "torch.compile failed, so the model runs eagerly and slower: gcc: internal compiler error"
    ]
    np.testing.assert_array_equal(runner.run(IMAGES[:4]).logits, eager().run(IMAGES[:4]).logits)
    with pytest.raises(OperatorError, match="internal compiler error"):
        insisting.warmup()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"device": "cuda:x"}, "does not exist"),
        ({"device": "meta"}, "is not supported"),
        ({"buckets": (0, 1)}, "Batch sizes must be"),
        ({"buckets": (5000,)}, "Batch sizes must be"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        eager(**options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_where_there_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="No CUDA device is usable"):
        eager(device="cuda")


def test_the_thread_count_is_set_where_it_warms_up() -> None:
    eager(threads=1).warmup([1])
    try:
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(2)


@pytest.mark.parametrize(("wished", "paid_for", "expected"), [(None, 1, 1), (None, 64, 2), (2, 1, 2)])
def test_torch_computes_on_no_more_threads_than_a_quota_pays_for(
    monkeypatch: pytest.MonkeyPatch, wished: int | None, paid_for: int, expected: int
) -> None:
    monkeypatch.setattr("streetvision.runner.torch_runner.usable_threads", lambda: paid_for)
    try:
        eager(threads=wished).warmup([])
        assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(2)
