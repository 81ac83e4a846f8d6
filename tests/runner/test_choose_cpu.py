"""Which precision serves on a CPU, judged by the model's own answers, and how a runner takes it up."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from streetvision.engine.background_priority import Deference
from streetvision.engine.types import ImageArray, RunnerFailure
from streetvision.models.network import LoadedModel, StreetVisionNet, build
from streetvision.runner import choose as choosing
from streetvision.runner.choose import Chosen, choose_fast
from streetvision.runner.choose_cpu import CpuForwards
from streetvision.runner.choose_cuda import CudaForwards
from streetvision.runner.cpu_forward import SmallForward
from streetvision.runner.precision import Precision, judge
from streetvision.runner.torch_runner import TorchRunner

from ..engine.quick import CONFIG, CPU, PICTURES, QUICK


def network(*, steep: float = 0.0) -> StreetVisionNet:
    """`steep` makes the head's answers large, so that small differences show; 0: far from a decision."""
    torch.manual_seed(0)
    net = build(CONFIG).eval().requires_grad_(False)
    torch.nn.init.normal_(net.head.fc.weight, std=steep)
    torch.nn.init.constant_(net.head.fc.bias, 0.0 if steep else 2.0)
    return net


def chosen(precision: str, *, steep: float = 0.0, pictures: Callable[[], ImageArray] = PICTURES.copy) -> Chosen:
    torch.set_num_threads(2)
    with torch.inference_mode():
        return choose_fast(network(steep=steep), CPU, precision, pictures)


def never() -> ImageArray:
    raise AssertionError("nobody needs pictures")


def test_by_default_float32_serves_and_nothing_is_judged() -> None:
    assert chosen("default", pictures=never).precision == Precision("float32", "it is a CPU's own")


@QUICK
@pytest.mark.parametrize(("precision", "serves"), [("auto", "int8"), ("int8", "int8"), ("bf16", "bf16")])
def test_what_passes_the_gate_serves(precision: str, serves: str) -> None:
    got = chosen(precision)
    assert got.precision.name == serves
    assert "passes its gate: over 1000 pictures it moves the probability by 0.0" in got.precision.reason


@QUICK
def test_what_fails_the_gate_never_serves_even_when_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        got = chosen("int8", steep=300.0)
    assert got.precision.name == "float32"
    assert got.precision.reason.startswith("int8 fails its gate: over 1000 pictures")
    assert caplog.messages == [f"int8 was asked for, but float32 serves: {got.precision.reason}"]


@QUICK
def test_auto_goes_on_to_the_next(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        choosing, "judge", lambda moved, name, other: judge(replace(moved, flips=2 * (name == "int8")), name, other)
    )
    with caplog.at_level(logging.WARNING):
        assert chosen("auto").precision.name == "bf16"
    assert caplog.messages == [], "auto asks for nothing in particular"


@QUICK
def test_auto_with_nothing_that_passes_tells_of_each() -> None:
    reason = chosen("auto", steep=3000.0).precision.reason
    assert "int8 fails its gate" in reason and "; bfloat16 fails its gate" in reason


def test_too_few_pictures_prove_nothing() -> None:
    assert chosen("bf16", pictures=lambda: PICTURES[:8]).precision.name == "float32"


@pytest.mark.parametrize("precision", ["auto", "bf16", "int8", "fp8"])
def test_a_processor_without_the_instructions_keeps_float32(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_vnni_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    got = chosen(precision, pictures=never)
    assert got.precision.name == "float32"
    assert ("float8 is for GPUs" if precision == "fp8" else "the processor has no") in got.precision.reason


def test_wrong_answers_are_no_forward(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """As a processor would give whose products are wrong: timm's serves instead."""
    right = SmallForward.__call__

    def wrong(self: SmallForward, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, pooled = right(self, images)
        return logits + 1.0, pooled

    monkeypatch.setattr(SmallForward, "__call__", wrong)
    with torch.inference_mode(), pytest.raises(RuntimeError, match=r"up to 0\.\d+ from those of timm's forward"):
        choose_fast(network(), CPU, "default")
    runner = TorchRunner(LoadedModel(network(), CONFIG), device="cpu", buckets=(1,), compile=False)
    runner.warmup()
    assert not runner.fast
    assert "the fast forward failed, so timm's serves, and slower: its probabilities are up to" in caplog.text


def test_a_lost_device_is_no_reason_to_try_another_forward(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It would fail alike, and what serves later would be blamed on the kernels; nor is a verdict remembered."""

    def lost(*_: object) -> Chosen:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr("streetvision.runner.forward.choose_fast", lost)
    runner = TorchRunner(LoadedModel(network(), CONFIG), device="cpu", buckets=(1,), compile=False)
    with pytest.raises(RunnerFailure, match="illegal memory access"):
        runner.warmup()
    assert runner.fast
    assert "serves, and slower" not in caplog.text


def test_a_cpu_has_a_fast_forward_of_its_own() -> None:
    assert CpuForwards().why_not(network()) is None


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_runner_serves_it(count: int, caplog: pytest.LogCaptureFixture) -> None:
    runner = TorchRunner(LoadedModel(network(steep=1.0), CONFIG), device="cpu", buckets=(1, 4))
    with caplog.at_level(logging.INFO):
        runner.warmup()
    assert runner.fast and not runner.compiled
    assert "the fast forward serves 1.2.3 in float32: it is a CPU's own" in caplog.text
    with torch.inference_mode():
        logits, pooled = network(steep=1.0).forward_uint8(torch.from_numpy(PICTURES[:count].copy()))
    got = runner.run(PICTURES[:count])
    np.testing.assert_allclose(got.logits, logits.numpy(), rtol=0, atol=1e-4)
    np.testing.assert_allclose(got.embeddings, pooled.numpy(), rtol=0, atol=1e-4)


@QUICK
def test_beside_serving_a_model_is_judged_and_warmed_too() -> None:
    """As a hot swap does it: on a thread that stands back, while another runner answers."""
    first = TorchRunner(LoadedModel(network(), CONFIG), device="cpu", buckets=(1,), threads=1)
    first.warmup()
    expected = first.run(PICTURES[:1]).logits
    second = TorchRunner(
        LoadedModel(network(), CONFIG),
        device="cpu",
        buckets=(1, 2),
        threads=1,
        precision="auto",
        calibration=PICTURES.copy,
    )
    with ThreadPoolExecutor(1, initializer=Deference().join) as pool:
        warm = pool.submit(second.warmup)
        while not warm.done():
            np.testing.assert_array_equal(first.run(PICTURES[:1]).logits, expected)
        assert sorted(warm.result()) == [1, 2]
    assert second.precision.name == "int8"
    np.testing.assert_allclose(second.run(PICTURES[:1]).logits, expected, atol=0.1)
    torch.set_num_threads(2)


@pytest.mark.parametrize(
    ("precision", "candidates"),
    [
        ("default", ([], "it is a GPU's own")),
        ("int8", ([], "int8 is for CPUs")),
        ("bf16", ([], "bfloat16 was asked for")),
        ("auto", (["fp8"], "")),
        ("fp8", (["fp8"], "")),
    ],
)
def test_on_a_gpu_float8_alone_is_quicker_than_its_own(
    precision: str, candidates: tuple[list[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streetvision.runner.cuda_forward.has_float8", lambda device: True)
    assert CudaForwards(CPU).candidates(precision) == candidates
    monkeypatch.setattr("streetvision.runner.cuda_forward.has_float8", lambda device: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A100")
    if candidates[0]:
        assert CudaForwards(CPU).candidates(precision) == ([], "A100 has no float8")
