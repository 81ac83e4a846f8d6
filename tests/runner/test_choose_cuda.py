"""Which forward serves where there is no CUDA device, and how the runner says so; tests/gpu has the rest."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch

from streetvision.engine.types import ImageArray, RunnerFailure
from streetvision.errors import ConfigError, OperatorError
from streetvision.models.config import ModelConfig
from streetvision.models.network import LoadedModel, StreetVisionNet, build, tiny_config
from streetvision.runner import forward as serving_module
from streetvision.runner.choose import Choice, Chosen
from streetvision.runner.choose_cpu import CpuForwards
from streetvision.runner.choose_cuda import CudaForwards
from streetvision.runner.precision import Precision
from streetvision.runner.torch_runner import TorchRunner

from ..engine.quick import CPU

CONFIG = tiny_config(depth=1)
IMAGES = np.zeros((1, 224, 224, 3), np.uint8)


def never() -> ImageArray:
    raise AssertionError("nobody needs pictures")


def model(config: ModelConfig = CONFIG) -> LoadedModel:
    torch.manual_seed(0)
    return LoadedModel(build(config), config)


def test_where_no_fast_forward_runs_timms_does_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CudaForwards(CPU).why_not(build(CONFIG)) == "it needs a CUDA device"
    monkeypatch.setattr(CpuForwards, "why_not", lambda self, net: "its heads are odd")
    runner = TorchRunner(model(), device="cpu", buckets=(1,), compile=False)
    assert not runner.fast
    assert runner.precision == Precision("float32", "timm's forward serves")
    with pytest.raises(OperatorError, match="cannot serve this model: its heads are odd"):
        TorchRunner(model(), device="cpu", buckets=(1,), compile=False, fast=True)


def test_a_precision_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ConfigError, match="precision 'fp4' does not exist; use default, auto, bf16, fp8, int8"):
        TorchRunner(model(), device="cpu", buckets=(1,), compile=False, precision="fp4")


def _pretend(monkeypatch: pytest.MonkeyPatch, choose: Any) -> None:
    """A runner on the CPU that believes in the fast forward."""
    monkeypatch.setattr(serving_module, "choose_fast", choose)


def fast_runner(**options: Any) -> TorchRunner:
    return TorchRunner(model(), device="cpu", buckets=(1,), compile=False, **options)


def test_the_chosen_forward_serves_and_its_reason_is_visible(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forward(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((len(images),), 7.0), torch.zeros(len(images), 384)

    seen: list[Any] = []

    def choose(net: StreetVisionNet, device: torch.device, precision: str, pictures: Any, _: object) -> Chosen:
        seen.append((precision, pictures))
        return Chosen(forward, Precision("fp8", "float8 passes its gate: it does"))

    _pretend(monkeypatch, choose)
    pictures = IMAGES.copy
    runner = fast_runner(precision="fp8", calibration=pictures)
    assert runner.fast
    with caplog.at_level(logging.INFO):
        runner.warmup()
    assert runner.run(IMAGES).logits.tolist() == [7.0]
    assert runner.precision.name == "fp8"
    assert "serves 0.0.0 in fp8: float8 passes its gate" in caplog.text
    assert seen == [("fp8", pictures)]


def _fails(*_: Any) -> Chosen:
    raise RuntimeError("no such product\nand more")


def test_a_fast_forward_that_fails_gives_way_to_timms(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _pretend(monkeypatch, _fails)
    runner = fast_runner()
    runner.warmup()
    assert not runner.fast
    assert runner.precision == Precision("float32", "timm's forward serves")
    assert "the fast forward failed, so timm's serves, and slower: no such product" in caplog.text
    with torch.inference_mode():
        expected = model().net.eval().forward_uint8(torch.from_numpy(IMAGES))[0]
    np.testing.assert_allclose(runner.run(IMAGES).logits, expected.numpy(), atol=0.05)


def test_insisting_keeps_a_failure_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, _fails)
    with pytest.raises(OperatorError, match="The fast forward failed on cpu: no such product"):
        fast_runner(fast=True).warmup()


def test_what_fails_everywhere_fails_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, _fails)
    runner = fast_runner()

    def broken(_: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raise RuntimeError("still broken")

    monkeypatch.setattr(StreetVisionNet, "forward_uint8", lambda self, images: broken(images))
    with pytest.raises(RunnerFailure, match="still broken"):
        runner.warmup()


def test_another_dtype_leaves_it_to_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, _fails)
    runner = TorchRunner(model(), device="cpu", buckets=(1,), compile=False, dtype=torch.bfloat16)
    assert not runner.fast
    runner.warmup()
    assert runner.precision.name == "bfloat16"


@pytest.mark.parametrize("shift", [0.0, 0.1, 1.0, float("nan")])
def test_a_fast_forward_must_answer_as_timms_does(monkeypatch: pytest.MonkeyPatch, shift: float) -> None:
    class Shifted:
        def __init__(self, net: StreetVisionNet, device: torch.device) -> None:
            self._net = net

        def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits, embeddings = self._net.forward_uint8(images)
            return logits + shift, embeddings

    monkeypatch.setattr("streetvision.runner.cuda_forward.FastForward", Shifted)
    net = build(CONFIG).for_inference("cpu", torch.float32)
    with torch.inference_mode():
        if shift in (0.0, 0.1):
            assert Choice(net, CudaForwards(CPU)).choose("bf16", never, None).precision.name == "bf16"
        else:
            with pytest.raises(RuntimeError, match=r"its probabilities are up to .* from those of timm's forward"):
                Choice(net, CudaForwards(CPU))
