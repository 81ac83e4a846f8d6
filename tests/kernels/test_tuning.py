"""Choices among ways to compute: the fastest of those with the right bits, remembered beside Triton's own cache."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import triton
from streetvision_kernels import attention as kernel
from streetvision_kernels import multiprocessors, tuning
from streetvision_kernels.attention_shapes import SHAPES, Shape
from streetvision_kernels.chip import Chip, chip_of
from streetvision_kernels.tuning import COLD_BYTES, MAX_COPIES, Trial, copies_of, fastest, recall, remember
from triton.errors import TritonError

QUESTION = ("attention", "chip", 12, torch.bfloat16)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> dict[object, float]:
    """What each choice is said to take; the GPU's clock is tests/gpu's."""
    told: dict[object, float] = {}
    monkeypatch.setattr(tuning, "_round_ms", lambda trial, out, launches: told[trial.choice])
    return told


def gives(*values: float) -> Callable[[int, torch.Tensor], None]:
    def run(_: int, out: torch.Tensor) -> None:
        out.copy_(torch.tensor(values))

    return run


def fails(error: Exception) -> Callable[[int, torch.Tensor], None]:
    def run(_: int, out: torch.Tensor) -> None:
        raise error

    return run


def test_the_fastest_with_the_right_bits_is_taken(seconds: dict[object, float]) -> None:
    seconds |= {"slow": 3.0, "right": 2.0, "wrong": 1.0}
    trials = [Trial(gives(1, 2), "slow"), Trial(gives(1, 2), "right"), Trial(gives(1, 3), "wrong")]
    out = torch.zeros(2)
    assert fastest(trials, out, torch.tensor([1.0, 2.0]), launches=1) == "right"
    assert fastest(trials, out, torch.tensor([1.0]), launches=1) == "wrong", "only the first row is known"
    assert fastest(trials, out, torch.tensor([5.0]), launches=1) is None
    assert out.tolist() == [0.0, 0.0]


def test_without_an_expectation_the_first_that_runs_sets_it(seconds: dict[object, float]) -> None:
    seconds |= {"first": 2.0, "other": 1.0}
    trials = [
        Trial(fails(TritonError("out of resource")), "large"),
        Trial(fails(RuntimeError("no such product")), "odd"),
        Trial(gives(1, 2), "first"),
        Trial(gives(2, 2), "other"),
    ]
    assert fastest(trials, torch.zeros(2), None, launches=1) == "first"
    assert fastest(trials[:2], torch.zeros(2), None, launches=1) is None


def test_weights_are_copied_until_they_are_cold() -> None:
    assert len(copies_of(torch.zeros(1 << 20))) == MAX_COPIES
    assert len(copies_of(torch.zeros(COLD_BYTES // 12, dtype=torch.float32))) == 3
    assert len(copies_of(torch.zeros(COLD_BYTES, dtype=torch.uint8))) == 1


def test_a_choice_is_remembered_for_its_own_question(cache: Path) -> None:
    assert recall(QUESTION) is None
    remember(QUESTION, 3)
    assert recall(QUESTION) == 3
    assert recall((*QUESTION[:1], "another chip", *QUESTION[2:])) is None
    assert len(list(cache.rglob("choice.json"))) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "3"])
def test_a_damaged_memory_is_forgotten(cache: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    remember(QUESTION, 3)
    next(cache.rglob("choice.json")).write_text(text)
    with caplog.at_level(logging.WARNING):
        assert recall(QUESTION) is None
    assert "made anew" in caplog.text


def test_without_a_disk_choices_are_made_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        remember(QUESTION, 3)
        assert recall(QUESTION) is None
    assert "the next start makes it again" in caplog.text


def test_the_attention_asks_the_disk_before_the_clock(cache: Path, seconds: dict[object, float]) -> None:
    seconds |= {0: 2.0, 1: 1.0}
    asked: list[Shape] = []

    def run(out: torch.Tensor, *, shape: Shape) -> None:
        asked.append(shape)
        out.fill_(1.0)

    out, question = torch.zeros(2), ("a chip", 0, (201, 2304))
    assert kernel._choose(SHAPES[:2], question, out, run) == SHAPES[1]
    assert asked == list(SHAPES[:2])
    assert kernel._choose(SHAPES[:2], question, out, run) == SHAPES[1]
    assert len(asked) == 2
    assert kernel._choose(SHAPES[2:4], question, out, run) == SHAPES[3], "other shapes are another question"


def test_an_attention_that_fits_nowhere_says_so(cache: Path) -> None:
    def run(out: torch.Tensor, *, shape: Shape) -> None:
        raise TritonError("out of resource")

    with pytest.raises(RuntimeError, match="no shape of the attention's programs fits a chip"):
        kernel._choose(SHAPES[:2], ("a chip", 0, 201), torch.zeros(2), run)


def test_a_size_is_tried_once_for_each_share_of_the_chip(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share, capturing, tried = [0], [True], list[tuple[Shape, ...]]()

    def choose(shapes: tuple[Shape, ...], *_: object) -> Shape:
        tried.append(shapes)
        return shapes[-1]

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "H100")
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing[0])
    monkeypatch.setattr(kernel, "assigned", lambda device: share[0])
    monkeypatch.setattr(kernel, "chip_of", lambda device: Chip((9, 0), share[0] or 132, 65536, 232448, 2048))
    monkeypatch.setattr(kernel, "_choose", choose)
    monkeypatch.setattr(kernel, "_chosen", {})
    qkv = SimpleNamespace(device=torch.device("cuda"), shape=torch.Size((201, 2304)), dtype=torch.bfloat16)
    out = SimpleNamespace(shape=torch.Size((201, 768)), dtype=torch.bfloat16)

    def shape() -> Shape:
        return kernel._shape_for(qkv, out, 201, lambda: None)

    first = shape()
    assert tried == [], "a stream that is captured can time nothing"
    capturing[0] = False
    assert shape() == shape() != first
    assert len(tried) == 1
    assert tried[0][0] == first
    assert kernel.chosen_shape(qkv, out, tokens=201) == tried[0][-1]
    share[0] = 104
    assert kernel.chosen_shape(qkv, out, tokens=201) is None
    shape()
    assert len(tried) == 2


def test_a_chip_is_what_torch_and_triton_say(monkeypatch: pytest.MonkeyPatch) -> None:
    told = SimpleNamespace(major=9, minor=0, multi_processor_count=132, max_threads_per_multi_processor=2048)
    limits = {"max_num_regs": 65536, "max_shared_mem": 232448}
    utils = SimpleNamespace(get_device_properties=lambda index: limits)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: told)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(triton.runtime, "driver", SimpleNamespace(active=SimpleNamespace(utils=utils)))
    monkeypatch.setattr(multiprocessors, "assigned", lambda device: 0)
    whole = Chip((9, 0), 132, 65536, 232448, 2048)
    assert chip_of(torch.device("cuda")) == whole
    monkeypatch.setattr(multiprocessors, "assigned", lambda device: 104)
    assert chip_of(torch.device("cuda", 0)) == replace(whole, multiprocessors=104)
