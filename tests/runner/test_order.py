"""Which runner comes first where, with its reason; and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from streetvision.errors import ConfigError, OperatorError
from streetvision.models.folder import bundled_checkpoint
from streetvision.runner import opening, order
from streetvision.runner.opening import open_runner
from streetvision.runner.order import Place, first_runner
from streetvision.runner.torch_runner import TorchRunner

NOTHING, OPENVINO, MAX = frozenset[str](), frozenset({"openvino"}), frozenset({"max"})


@pytest.mark.parametrize(
    ("device", "extras", "runner", "why"),
    [
        ("cuda", OPENVINO, "torch", "on a GPU"),
        ("cpu", OPENVINO, "openvino", "on a CPU with its extra installed"),
        ("cpu", MAX, "torch", "not installed: pip install 'streetvision[openvino]'"),
        ("cuda", MAX, "torch", "on a GPU"),
        ("cpu", NOTHING, "torch", "not installed: pip install 'streetvision[openvino]'"),
    ],
)
def test_the_first_that_fits_serves_and_says_why(device: str, extras: frozenset[str], runner: str, why: str) -> None:
    first = first_runner("auto", Place(device, "vit_small_patch16_dinov3", extras))
    assert first.runner == runner
    assert why in first.why


def test_what_is_named_serves() -> None:
    assert first_runner("torch", Place("cpu", "any", OPENVINO)) == order.Ordered("torch", "it was asked for")
    assert first_runner("openvino", Place("cpu", "any", OPENVINO)).runner == "openvino"
    assert {first_runner("max", Place(device, "any", MAX)).runner for device in ("cpu", "cuda")} == {"max"}


@pytest.mark.parametrize(
    ("wish", "place", "sentence"),
    [
        ("onnx", Place("cpu", "any", OPENVINO), "'onnx' does not exist; use auto, max, openvino, torch"),
        ("openvino", Place("cuda", "any", OPENVINO), "--device cpu"),
        ("openvino", Place("cpu", "any", NOTHING), r"pip install 'streetvision\[openvino\]'"),
        ("max", Place("cuda", "any", OPENVINO), r"needs the extra `max`: pip install 'streetvision\[max\]'"),
    ],
)
def test_what_cannot_serve_is_refused_with_what_to_do(wish: str, place: Place, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        first_runner(wish, place)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO is installed, and fails on every model."""

    def fails(*_: object) -> None:
        raise RuntimeError("no translator for aten::odd\nand a long stack")

    monkeypatch.setattr(opening, "installed", lambda: OPENVINO)
    monkeypatch.setattr(opening, "_open_openvino", fails)


def test_where_openvino_fails_torch_serves_and_the_log_says_so(broken: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        runner = open_runner(bundled_checkpoint(), device="cpu", buckets=(1,), compile=False, runner="auto")
    assert isinstance(runner, TorchRunner)
    assert "the runner of bundled is openvino: on a CPU with its extra installed" in caplog.messages
    assert "OpenVINO cannot serve bundled, so torch does: no translator for aten::odd" in caplog.messages


def test_where_openvino_was_insisted_on_nothing_else_serves(broken: None) -> None:
    with pytest.raises(OperatorError, match="OpenVINO cannot serve bundled: no translator for aten::odd"):
        open_runner(bundled_checkpoint(), device="cpu", runner="openvino")


def test_a_folder_without_a_model_is_told_of_whatever_the_runner(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="has no model"):
        open_runner(tmp_path, device="cpu", runner="auto")
