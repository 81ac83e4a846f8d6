"""A card with little memory or of an older make still serves, and the log says how."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from streetvision.engine.types import ImageArray, RunnerFailure
from streetvision.models.network import LoadedModel, build, has_triton, tiny_config
from streetvision.runner import cuda_forward as fast
from streetvision.runner import torch_runner as runner_module
from streetvision.runner.cuda_graphs import Forward
from streetvision.runner.forward import own_dtype
from streetvision.runner.torch_runner import TorchRunner

CONFIG = replace(tiny_config(depth=2, width=64), input_size=48)
IMAGES: ImageArray = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 3), dtype=np.uint8)
CUDA = torch.device("cuda", 0)


def runner() -> TorchRunner:
    torch.manual_seed(0)
    torch.set_num_threads(2)
    return TorchRunner(LoadedModel(build(CONFIG), CONFIG), device="cpu", buckets=(1, 2, 4, 8), compile=False)


def small_card(monkeypatch: pytest.MonkeyPatch, room: int) -> tuple[TorchRunner, list[int]]:
    """A runner whose graphs fit for batches up to `room`, and the sizes that it tried."""
    tried: list[int] = []

    def capture(forward: Forward, images: torch.Tensor, pool: object) -> Forward:
        tried.append(len(images))
        if len(images) > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nand a long story")
        return forward

    monkeypatch.setattr(runner_module, "capture", capture)
    small = runner()
    monkeypatch.setattr(small, "_pool", object())
    return small, tried


def test_batches_that_do_not_fit_run_in_parts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    small, tried = small_card(monkeypatch, room=2)
    with caplog.at_level(logging.WARNING):
        seconds = small.warmup()
    assert caplog.messages == [
        "cpu has no memory for batches of 8, so they run in parts",
        "cpu has no memory for batches of 4, so they run in parts",
    ]
    assert sorted(seconds) == [1, 2, 4, 8] and all(value > 0 for value in seconds.values()), "the engine asks for all"
    assert small.buckets == (1, 2, 4, 8)
    assert small.fast, "less memory is no reason to serve slower"
    assert tried == [8, 4, 2, 1], "what did not fit once is not tried again"
    expected = runner().run(IMAGES)
    for count in range(1, 9):
        got = small.run(IMAGES[:count])
        np.testing.assert_allclose(got.logits, expected.logits[:count], rtol=0, atol=1e-5)
        np.testing.assert_allclose(got.embeddings, expected.embeddings[:count], rtol=0, atol=1e-5)


def test_a_size_that_was_not_warmed_and_does_not_fit_is_still_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    small, tried = small_card(monkeypatch, room=2)
    np.testing.assert_allclose(small.run(IMAGES).logits, runner().run(IMAGES).logits, rtol=0, atol=1e-5)
    assert tried == [8, 4, 2]


def test_a_model_that_does_not_fit_at_all_fails_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    small, tried = small_card(monkeypatch, room=0)
    with pytest.raises(RunnerFailure, match="the model failed on cpu: CUDA out of memory"):
        small.warmup()
    assert "the fast forward failed, so timm's serves" in caplog.text
    assert tried == [8, 4, 2, 1, 1], "timm's begins where the fast one ended"


@pytest.mark.parametrize(
    ("capability", "dtype", "float8", "fast_serves"),
    [
        ((7, 5), torch.float32, False, False),
        ((8, 0), torch.bfloat16, False, True),
        ((8, 6), torch.bfloat16, False, True),
        ((8, 9), torch.bfloat16, True, True),
        ((9, 0), torch.bfloat16, True, True),
    ],
    ids=["T4", "A100", "RTX 3060", "RTX 4060", "H100"],
)
def test_every_card_gets_what_it_can_compute(
    capability: tuple[int, int],
    dtype: torch.dtype,
    float8: bool,
    fast_serves: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert own_dtype(CUDA) == dtype
    assert has_triton(CUDA) == fast_serves
    assert fast.has_float8(CUDA) == float8
    why = fast.missing_for_fast(build(CONFIG), CUDA)
    assert (why is None) == fast_serves
    assert fast_serves or why == "the GPU is older than NVIDIA's Ampere"


def test_a_cpu_computes_in_float32() -> None:
    assert own_dtype(torch.device("cpu")) == torch.float32
    assert build(CONFIG).for_inference("cpu", torch.float32).fused
