"""Which weights a backend is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from scripted_transport import ScriptedTransport

from streetvision.engine.remote_policy import RemotePolicy
from streetvision.engine.types import ImageArray, RunnerOutput
from streetvision.models.network import LoadedModel, build, tiny_config
from streetvision.runner.bucketed import LibraryRunner
from streetvision.runner.remote import pin_of, remote_ends
from streetvision.runner.torch_runner import TorchRunner

from ..engine.gated_runner import GatedRunner, grey_logits

CONFIG = replace(tiny_config(depth=1), version="1.2.0", sha256="ab" * 32)


def test_the_fingerprint_is_that_of_the_answers() -> None:
    pin = pin_of("1.2.0", CONFIG)
    assert pin == pin_of("1.2.0", replace(CONFIG, card={"note": "for people"}, created="2026-11-30T00:00:00+00:00"))
    assert len(pin.fingerprint) == 64


@pytest.mark.parametrize("change", [{"sha256": "cd" * 32}, {"temperature": 2.0}, {"resize": "crop"}])
def test_other_weights_or_another_use_of_them_is_another_model(change: dict[str, object]) -> None:
    assert pin_of("1.2.0", replace(CONFIG, **change)) != pin_of("1.2.0", CONFIG)  # type: ignore[arg-type]


class AnotherLibrary(LibraryRunner):
    """A checkpoint that torch does not run, as OpenVINO's."""

    def run(self, images: ImageArray) -> RunnerOutput:
        raise NotImplementedError


def test_a_model_that_another_library_runs_has_a_backend_too() -> None:
    end = remote_ends(ScriptedTransport(grey_logits), RemotePolicy(in_flight=2))(AnotherLibrary("1.2.0", CONFIG, (1,)))
    assert end is not None
    assert end.model == pin_of("1.2.0", CONFIG)


def test_a_model_by_itself_has_a_backend_and_one_with_several_passes_has_none(tmp_path: Path) -> None:
    backend, policy = ScriptedTransport(grey_logits), RemotePolicy(in_flight=2)
    ends = remote_ends(backend, policy)
    runner = TorchRunner(LoadedModel(build(CONFIG), CONFIG), device="cpu", buckets=(1,), threads=1)
    end = ends(runner)
    assert end is not None
    assert (end.model, end.policy) == (pin_of("1.2.0", CONFIG), policy)
    assert ends(GatedRunner()) is None
