"""The bundled model has one name: what a runner is called is what log, metrics and status show."""

from __future__ import annotations

from pathlib import Path

from streetvision.models.folder import bundled_checkpoint, read_config
from streetvision.models.network import load
from streetvision.registry.registry import Registry
from streetvision.runner.opening import open_runner


def test_a_runner_is_called_as_the_registry_calls_it(tmp_path: Path, checkpoint: Path) -> None:
    runner = open_runner(bundled_checkpoint(), device="cpu", buckets=(1,), compile=False)
    assert runner.version == Registry(tmp_path).get("bundled").version == "bundled"
    assert load(checkpoint).version == read_config(checkpoint).version
