"""OpenVINO on a CPU: what is kept between starts, what is made anew, and which precision serves."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openvino", reason="the extra `openvino` is not installed")

from streetvision.base.resources import usable_threads
from streetvision.engine.types import ImageArray, RunnerFailure
from streetvision.models.checks import CheckpointError
from streetvision.models.network import build
from streetvision.runner import openvino_cache, openvino_choice, openvino_session
from streetvision.runner.openvino_model import (
    HEAD,
    ROUNDINGS,
    TOKENS,
    Seen,
    convert,
    rounded,
    seen_in,
    smoothing,
    watched,
)
from streetvision.runner.openvino_runner import OpenVinoRunner
from streetvision.runner.question import EARLIER

from ..engine.quick import CONFIG, PICTURES, QUICK, counted_drawings, saved


def opened(model: Path, **options: Any) -> OpenVinoRunner:
    given: dict[str, Any] = {"buckets": (1, 4), "threads": 2} | options
    return OpenVinoRunner(model, **given)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One number for each time that calibration pictures were drawn."""
    return counted_drawings(monkeypatch, openvino_choice)


def entries(kept: Path) -> list[Path]:
    return [path for path in kept.iterdir() if len(path.name) == 64]


@QUICK
def test_the_next_start_neither_converts_nor_judges_and_answers_with_the_same_bits(
    tmp_path: Path, judged: list[int]
) -> None:
    model, kept = saved(tmp_path / "model"), tmp_path / "kept"
    first, second = (opened(model, precision="auto", kept=kept) for _ in range(2))
    assert (first.precision.name, judged) == ("int8", [48])
    assert "passes its gate: over 1000 pictures" in first.precision.reason
    assert second.precision.reason == first.precision.reason + EARLIER
    for field in ("logits", "embeddings"):
        np.testing.assert_array_equal(*(getattr(runner.run(PICTURES[:3]), field) for runner in (first, second)))


def test_a_kept_model_is_opened_and_served_without_torch(tmp_path: Path) -> None:
    model, kept = saved(tmp_path / "model"), tmp_path / "kept"
    opened(model, kept=kept)
    code = (
        "import sys; from pathlib import Path; import numpy as np;"
        "from streetvision.runner.openvino_runner import OpenVinoRunner as Runner;"
        "runner = Runner(Path(sys.argv[1]), buckets=(1,), threads=1, kept=Path(sys.argv[2])); runner.warmup();"
        "print(runner.run(np.zeros((1, 48, 48, 3), np.uint8)).logits[0] > 1.0, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(model), str(kept)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["True", "False"], done.stderr


@pytest.mark.parametrize("name", [openvino_cache.GRAPH, openvino_cache.WEIGHTS, openvino_cache.ENTRY])
@pytest.mark.parametrize("damage", [b"", b"\0" * 64, None], ids=["empty", "zeros", "gone"])
def test_a_damaged_entry_is_made_anew(
    tmp_path: Path, name: str, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    model, kept = saved(tmp_path / "model"), tmp_path / "kept"
    before = opened(model, kept=kept).run(PICTURES[:1]).logits
    [entry] = entries(kept)
    file = entry / name
    file.unlink() if damage is None else file.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(opened(model, kept=kept).run(PICTURES[:1]).logits, before)
        assert "is damaged" in caplog.text and "made anew" in caplog.text
        caplog.clear()
        opened(model, kept=kept)
    assert caplog.messages == [], "the new entry is whole"


def test_a_kept_model_that_answers_otherwise_than_when_it_was_made_does_not_serve(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, kept = saved(tmp_path / "model"), tmp_path / "kept"
    opened(model, kept=kept)
    [entry] = entries(kept)
    told = json.loads((entry / openvino_cache.ENTRY).read_text())
    told["answers"] = [value - 1.0 for value in told["answers"]]
    (entry / openvino_cache.ENTRY).write_text(json.dumps(told))
    with caplog.at_level(logging.WARNING):
        opened(model, kept=kept)
    assert "from those that it gave when it was made); it is made anew" in caplog.text


@pytest.mark.parametrize("changed", ["weights", "wish", "processor", "code"])
def test_another_question_has_an_entry_of_its_own(
    tmp_path: Path, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    opened(saved(tmp_path / "a"), kept=kept)
    if changed in ("processor", "code"):
        name = "processor" if changed == "processor" else "_code"
        monkeypatch.setattr(openvino_cache, name, lambda: "another")
    seed = 1 if changed == "weights" else 0
    opened(saved(tmp_path / "b", seed=seed), kept=kept, precision="fp8" if changed == "wish" else "default")
    assert len(entries(kept)) == 2


def test_weights_that_are_not_what_the_description_names_are_refused_though_the_model_is_kept(tmp_path: Path) -> None:
    model, kept = saved(tmp_path / "model"), tmp_path / "kept"
    opened(model, kept=kept)
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="do not belong together or are damaged"):
        opened(model, kept=kept)


def test_the_oldest_entries_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    monkeypatch.setattr(openvino_cache, "MOST_ENTRIES", 1)
    opened(saved(tmp_path / "a"), kept=kept)
    [first] = entries(kept)
    os.utime(first, (1, 1))
    opened(saved(tmp_path / "b", seed=1), kept=kept)
    assert len(entries(kept)) == 1
    assert not first.exists()


def test_a_folder_that_cannot_be_written_costs_the_next_start_its_time_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kept").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        runner = opened(saved(tmp_path / "model"), kept=tmp_path / "kept")
    assert "the converted model cannot be kept" in caplog.text
    assert runner.run(PICTURES[:1]).logits.shape == (1,)


@QUICK
@pytest.mark.parametrize(("precision", "serves"), [("auto", "int8"), ("int8", "int8"), ("bf16", "bf16")])
def test_what_passes_the_gate_serves(tmp_path: Path, precision: str, serves: str, judged: list[int]) -> None:
    assert opened(saved(tmp_path / "model"), precision=precision).precision.name == serves


@QUICK
def test_what_fails_the_gate_never_serves_even_when_asked_for(
    tmp_path: Path, judged: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        got = opened(saved(tmp_path / "model", steep=3000.0), precision="int8").precision
    assert got.name == "float32"
    assert got.reason.count("int8 fails its gate: over 1000 pictures") == 2, "each way of rounding is told of"
    assert caplog.messages == [f"int8 was asked for, but float32 serves: {got.reason}"]


def test_float8_is_for_gpus(tmp_path: Path) -> None:
    assert opened(saved(tmp_path / "model"), precision="fp8").precision.reason == "float8 is for GPUs"


def test_a_processor_without_bfloat16_keeps_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_choice, "has_bfloat16", lambda: False)
    monkeypatch.setattr(openvino_session, "has_bfloat16", lambda: False)
    got = opened(saved(tmp_path / "model"), precision="bf16").precision
    assert (got.name, got.reason) == ("float32", "the processor has no bfloat16 products")


def test_it_computes_on_no_more_threads_than_a_quota_pays_for(tmp_path: Path) -> None:
    assert opened(saved(tmp_path / "model"), threads=None).served_by.threads == usable_threads()


class Session:
    """Answers as the one it stands for, but fails for some batches."""

    def __init__(self, inner: Any, words: str, at: int) -> None:
        self._inner, self._words, self._at = inner, words, at

    def __call__(self, images: ImageArray) -> Any:
        if len(images) >= self._at:
            raise RuntimeError(f"{self._words}\nand a long stack")
        return self._inner(images)


def test_too_little_memory_for_large_batches_runs_them_in_parts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner = opened(saved(tmp_path / "model"))
    runner.warmup([1])
    expected = np.concatenate([runner.run(PICTURES[at : at + 1]).logits for at in range(4)])
    runner._session = Session(runner._session, "std::bad_alloc", at=2)  # type: ignore[assignment]
    with caplog.at_level(logging.WARNING):
        assert sorted(runner.warmup()) == [1, 4]
    assert caplog.messages == ["the CPU has no memory for batches of 4, so they run in parts"]
    np.testing.assert_allclose(runner.run(PICTURES[:4]).logits, expected, rtol=0, atol=1e-5)


def test_what_fails_in_openvino_fails_its_batch_alone(tmp_path: Path) -> None:
    runner = opened(saved(tmp_path / "model"))
    runner.warmup()
    runner._session = Session(runner._session, "a primitive is broken", at=4)  # type: ignore[assignment]
    with pytest.raises(RunnerFailure) as caught:
        runner.run(PICTURES[:3])
    assert str(caught.value) == "the model failed on the CPU: a primitive is broken"
    assert runner.run(PICTURES[:1]).logits.shape == (1,)


def test_smoothing_moves_no_product_and_makes_channels_alike() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(64, 12)).astype(np.float32) * np.geomspace(0.05, 60.0, 12, dtype=np.float32)
    weight = rng.normal(size=(5, 12)).astype(np.float32)
    factors = smoothing(Seen(rows.min(axis=0), rows.max(axis=0), rows), weight, 0.5)
    np.testing.assert_allclose((rows / factors) @ (weight * factors).T, rows @ weight.T, rtol=1e-4, atol=1e-3)
    before, after = (np.abs(values).max(axis=0) for values in (rows, rows / factors))
    assert after.max() / after.min() < (before.max() / before.min()) ** 0.6
    nothing = np.zeros(12, np.float32)
    empty = smoothing(Seen(nothing, nothing, rows), weight * 0.0, 0.5)
    np.testing.assert_allclose(empty, np.ones(12), rtol=1e-6)


def test_only_the_products_that_a_rounding_names_are_int8() -> None:
    net = build(CONFIG).eval()
    model = convert(net)
    session = openvino_session.Session(watched(model), "float32", 1)
    seen = seen_in([session(PICTURES[at : at + 4]) for at in (0, 4)])
    first = next(
        entered.rows for name, entered in seen.items() if name.endswith("blocks.0.attn.qkv/aten::linear/MatMul")
    )
    assert len(first) == 8 * TOKENS
    assert len(np.unique(first[:TOKENS].round(4), axis=0)) == 14, "nine patches, the class token and four registers"
    counts = [_rounded_products(rounded(model, seen, rounding)) for rounding in ROUNDINGS]
    both = {"attn.qkv", "mlp.fc1"}
    assert counts == [both | {"attn.proj", "mlp.fc2"}, both]


def _rounded_products(model: Any) -> set[str]:
    """Names of layers whose weights and rows pass a FakeQuantize."""
    found = set()
    for operation in model.get_ordered_ops():
        if operation.get_type_name() == "MatMul":
            before = [operation.input_value(at).get_node().get_type_name() for at in (0, 1)]
            if "FakeQuantize" in before:
                assert before == ["FakeQuantize"] * 2
                assert HEAD not in operation.get_friendly_name()
                found.add(".".join(operation.get_friendly_name().split("/")[0].split(".")[-2:]))
    return found


def test_a_kept_model_is_opened_without_torch(tmp_path: Path) -> None:
    program = f"""
import sys
from streetvision.models.folder import bundled_checkpoint
from streetvision.runner.opening import open_runner
from pathlib import Path
kept = Path({str(tmp_path)!r})
runner = open_runner(bundled_checkpoint(), device="cpu", runner="openvino", buckets=(1,), threads=1, verdicts=kept)
print(runner.served_by.runner, "torch" in sys.modules)
"""
    told = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300).stdout
        for _ in range(2)
    ]
    assert told == ["openvino True\n", "openvino False\n"]
