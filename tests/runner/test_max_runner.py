"""Modular MAX on a CPU: other networks than the contract's, what is refused, what is told (make test-max)."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

if os.environ.get("TEST_MAX") != "1":
    pytest.skip("MAX compiles for minutes (make test-max)", allow_module_level=True)

from streetvision.engine.types import ImageArray, RunnerFailure
from streetvision.errors import OperatorError
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.config import ModelConfig
from streetvision.models.network import StreetVisionNet, build
from streetvision.runner.max_runner import MaxRunner
from streetvision.runner.opening import open_runner

from ..engine.quick import CONFIG, PICTURES

pytestmark = pytest.mark.timeout(600)
GATED = replace(
    CONFIG,
    architecture="vit_small_plus_patch16_dinov3",
    head=replace(CONFIG.head, kind="cls_mean_attention", embedding_dim=192),
)


def saved(folder: Path, config: ModelConfig = CONFIG) -> tuple[Path, StreetVisionNet]:
    torch.manual_seed(0)
    net = build(config).eval()
    save_checkpoint(folder, config, net.state_dict())
    return folder, net


def opened(folder: Path, **options: Any) -> MaxRunner:
    given: dict[str, Any] = {"device": "cpu", "buckets": (1, 4)} | options
    return MaxRunner(folder, **given)


def test_swiglu_and_a_head_that_attends_answer_as_timm_does(tmp_path: Path) -> None:
    folder, net = saved(tmp_path / "gated", GATED)
    got = opened(folder).run(PICTURES[:3])
    with torch.inference_mode():
        logits, embeddings = net.forward_uint8(torch.from_numpy(PICTURES[:3]))
    np.testing.assert_allclose(got.logits, logits.numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(got.embeddings, embeddings.numpy(), rtol=0, atol=1e-4)


def test_a_network_that_it_cannot_compute_is_refused_in_a_sentence(tmp_path: Path) -> None:
    config = replace(CONFIG, head=replace(CONFIG.head, kind="cls_linear", embedding_dim=64))
    folder, _ = saved(tmp_path / "cls", config)
    with pytest.raises(OperatorError, match=r"^MAX cannot serve cls: its head does not pool CLS with patches\.$"):
        open_runner(folder, device="cpu", runner="max")


def test_wishes_that_it_does_not_keep_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        opened(saved(tmp_path / "model")[0], precision="int8", threads=3)
    assert "int8 was asked for, but float32 serves: MAX on a CPU has no other" in caplog.messages
    assert "MAX chooses the number of its threads itself; 3 were asked for" in caplog.messages


def test_batches_that_memory_does_not_hold_run_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = opened(saved(tmp_path / "model")[0])
    whole, compute = runner.run(PICTURES[:4]), runner._session

    def small(images: ImageArray) -> Any:
        if len(images) > 1:
            raise RuntimeError("out of memory")
        return compute(images)

    monkeypatch.setattr(runner, "_session", small)
    with pytest.raises(RunnerFailure, match="the model failed on cpu: out of memory"):
        runner.run(PICTURES[:4])
    assert sorted(runner.warmup()) == [1, 4]
    np.testing.assert_allclose(runner.run(PICTURES[:4]).logits, whole.logits, rtol=0, atol=1e-5)
