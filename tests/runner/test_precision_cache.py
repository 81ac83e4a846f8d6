"""A model that was judged is not judged again at the next start, and answers with the same bits."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from streetvision.models.checkpoint import load_checkpoint, save_checkpoint
from streetvision.models.network import StreetVisionNet, build
from streetvision.runner import choose as choosing
from streetvision.runner import precision_cache as verdicts
from streetvision.runner.calibration_images import SCENES
from streetvision.runner.choose import Choice
from streetvision.runner.choose_cuda import CudaForwards
from streetvision.runner.precision import Precision
from streetvision.runner.precision_cache import KEPT, PrecisionCache, PrecisionVerdict, verdicts_on
from streetvision.runner.question import EARLIER
from streetvision.runner.torch_runner import TorchRunner

from ..engine.quick import CONFIG, CPU, PICTURES, QUICK, counted_drawings, saved

PASSED = PrecisionVerdict(Precision("int8", "it passes"), {"0.qkv.low": torch.tensor([0.5, -1.0])})


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One number for each time that calibration pictures were drawn."""
    return counted_drawings(monkeypatch, choosing)


def start(model: Path, folder: Path | None, precision: str = "auto") -> TorchRunner:
    runner = TorchRunner(model, device="cpu", buckets=(1, 4), threads=2, precision=precision, verdicts=folder)
    runner.warmup()
    return runner


@QUICK
@pytest.mark.parametrize(("steep", "precision", "serves"), [(0.0, "auto", "int8"), (0.0, "bf16", "bf16")])
def test_the_next_start_knows_what_passed(
    tmp_path: Path, judged: list[int], steep: float, precision: str, serves: str
) -> None:
    model = saved(tmp_path / "model", steep=steep)
    first = start(model, tmp_path / "kept", precision)
    assert (first.precision.name, judged) == (serves, [48])
    second = start(model, tmp_path / "kept", precision)
    assert judged == [48]
    assert second.precision == Precision(serves, first.precision.reason + EARLIER)
    for field in ("logits", "embeddings"):
        before, after = (getattr(runner.run(PICTURES[:3]), field) for runner in (first, second))
        np.testing.assert_array_equal(before, after)


@QUICK
def test_the_next_start_knows_what_failed(tmp_path: Path, judged: list[int], caplog: pytest.LogCaptureFixture) -> None:
    model = saved(tmp_path / "model", steep=300.0)
    start(model, tmp_path / "kept", "int8")
    with caplog.at_level(logging.WARNING):
        second = start(model, tmp_path / "kept", "int8")
    assert judged == [48]
    assert second.precision.name == "float32"
    assert "int8 was asked for, but float32 serves: int8 fails its gate" in caplog.text


@QUICK
def test_another_question_is_judged(tmp_path: Path, judged: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    model, kept = saved(tmp_path / "model"), tmp_path / "kept"
    start(model, kept)
    start(saved(tmp_path / "other", seed=1), kept)
    start(model, kept, "bf16")
    monkeypatch.setattr(verdicts, "processor", lambda: "another processor")
    start(model, kept)
    monkeypatch.setattr(verdicts, "_code", lambda: "another code")
    start(model, kept)
    assert len(judged) == 5
    assert len(list(kept.iterdir())) == 5


def test_a_verdict_is_kept_by_the_bytes_of_the_pictures_and_not_by_what_drew_them() -> None:
    files = verdicts.judged_by()
    assert sum(file.suffix == ".jpg" for file in files) == SCENES
    assert not [file for file in files if "training" in file.parts]


@QUICK
def test_without_a_folder_each_start_judges(tmp_path: Path, judged: list[int]) -> None:
    model = saved(tmp_path / "model")
    start(model, None)
    start(model, None)
    assert len(judged) == 2


@QUICK
def test_verdicts_on_pictures_of_ones_own_are_not_kept(tmp_path: Path) -> None:
    runner = TorchRunner(
        saved(tmp_path / "model"),
        device="cpu",
        buckets=(1,),
        precision="auto",
        calibration=PICTURES.copy,
        verdicts=tmp_path / "kept",
    )
    runner.warmup()
    assert runner.precision.name == "int8"
    assert not (tmp_path / "kept").exists()


@QUICK
def test_a_model_that_is_calibrated_anew_is_judged_anew(tmp_path: Path, judged: list[int]) -> None:
    """The gate weighs probabilities: at another temperature the same weights may fail it."""
    model = saved(tmp_path / "model")
    assert start(model, tmp_path / "kept").precision.name == "int8"
    config, state = load_checkpoint(model)
    again = save_checkpoint(model, replace(config, temperature=0.5), state, overwrite=True)
    assert again.sha256 == config.sha256
    start(model, tmp_path / "kept")
    assert judged == [48, 48]


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.5},
        {"threshold": 0.4},
        {"mean": (0.5, 0.5, 0.5)},
        {"std": (0.5, 0.5, 0.5)},
        {"sha256": "1" * 64},
        {"head": replace(CONFIG.head, eps=1e-4)},
        {"architecture_kwargs": {**CONFIG.architecture_kwargs, "rope_temperature": 50.0}},
        {"input_size": 64},
        {"resample": "box"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_all_that_moves_an_answer_is_part_of_the_question(tmp_path: Path, change: dict[str, Any]) -> None:
    described = replace(CONFIG, sha256="0" * 64)
    verdicts_on(tmp_path, described, "auto", CPU).remember(PASSED)
    assert verdicts_on(tmp_path, replace(described, **change), "auto", CPU).recall() is None


def test_what_is_only_for_people_is_not(tmp_path: Path) -> None:
    described = replace(CONFIG, sha256="0" * 64)
    verdicts_on(tmp_path, described, "auto", CPU).remember(PASSED)
    told = replace(described, name="other", version="9.9.9", card={"a": 1}, created="2026-01-01T00:00:00+00:00")
    assert verdicts_on(tmp_path, told, "auto", CPU).recall() is not None


def test_a_verdict_is_read_as_it_was_written(tmp_path: Path) -> None:
    described = replace(CONFIG, sha256="0" * 64)
    asked = verdicts_on(tmp_path / "kept", described, "auto", CPU)
    assert asked.recall() is None
    asked.remember(PASSED)
    told = verdicts_on(tmp_path / "kept", described, "auto", CPU).recall()
    assert told is not None
    assert told.precision == Precision("int8", "it passes" + EARLIER)
    assert torch.equal(told.spans["0.qkv.low"], PASSED.spans["0.qkv.low"])
    assert [path.suffix for path in (tmp_path / "kept").iterdir()] == [".safetensors"]


@pytest.mark.parametrize("bytes_", [b"", b"{}", b"\x08\0\0\0\0\0\0\0{}      ", os.urandom(200)])
def test_a_damaged_verdict_is_forgotten(tmp_path: Path, bytes_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    asked = PrecisionCache(tmp_path, {"what": "ever"})
    asked.remember(PASSED)
    next(tmp_path.iterdir()).write_bytes(bytes_)
    with caplog.at_level(logging.WARNING):
        assert asked.recall() is None
    assert "the model is judged anew" in caplog.text
    asked.remember(PASSED)
    assert asked.recall() is not None


@QUICK
@pytest.mark.parametrize("spans", [{}, {"0.qkv.low": torch.zeros(1), "0.qkv.high": torch.ones(1)}], ids=["none", "one"])
def test_a_verdict_that_does_not_fit_the_model_is_made_anew(
    tmp_path: Path, judged: list[int], spans: dict[str, torch.Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    model, kept = saved(tmp_path / "model"), tmp_path / "kept"
    first = start(model, kept)
    path = next(kept.iterdir())
    path.write_bytes(save(spans, {"name": "int8", "reason": "it passes"}))
    with caplog.at_level(logging.WARNING):
        second = start(model, kept)
    assert "does not fit the model" in caplog.text
    assert (second.precision, len(judged)) == (first.precision, 2)
    assert start(model, kept).precision.name == "int8"
    assert len(judged) == 2


def test_without_a_disk_the_next_start_judges_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    asked = PrecisionCache(tmp_path / "file" / "kept", {"what": "ever"})
    with caplog.at_level(logging.WARNING):
        asked.remember(PASSED)
        assert asked.recall() is None
    assert "the next start judges anew" in caplog.text


def test_the_oldest_verdicts_go(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        PrecisionCache(tmp_path, {"number": str(number)}).remember(PASSED)
        os.utime(PrecisionCache(tmp_path, {"number": str(number)})._path, (number, number))
    assert len(list(tmp_path.iterdir())) == KEPT
    assert PrecisionCache(tmp_path, {"number": "0"}).recall() is None
    assert PrecisionCache(tmp_path, {"number": str(KEPT + 2)}).recall() is not None


def test_float8_is_built_from_the_peaks_that_were_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU's choice, with a forward that only notes what it was built from; tests/gpu has the real one."""
    built: list[Mapping[str, float] | None] = []
    watched: list[int] = []

    class Fast:
        def __init__(
            self, net: StreetVisionNet, device: torch.device, *, peaks: Mapping[str, float] | None = None
        ) -> None:
            self._net = net
            built.append(peaks)

        def observe(self, batches: list[torch.Tensor]) -> dict[str, float]:
            watched.append(len(batches))
            return {"0.qkv": 3.3, "0.fc1": 1e-7}

        def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits, embeddings = self._net.forward_uint8(images)
            return logits, embeddings

    monkeypatch.setattr("streetvision.runner.cuda_forward.FastForward", Fast)
    monkeypatch.setattr("streetvision.runner.cuda_forward.has_float8", lambda device: True)
    net = build(CONFIG).for_inference("cpu", torch.float32)
    kept = PrecisionCache(tmp_path, {"what": "ever"})
    with torch.inference_mode():
        first = Choice(net, CudaForwards(CPU)).choose("auto", PICTURES.copy, kept)
        second = Choice(net, CudaForwards(CPU)).choose("auto", PICTURES.copy, kept)
    assert first.precision.name == second.precision.name == "fp8"
    assert len(watched) == 1
    assert built == [None, {"0.qkv": 3.3, "0.fc1": 1e-7}, None, {"0.qkv": 3.3, "0.fc1": 1e-7}]
