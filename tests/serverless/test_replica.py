"""What runs in a container, without Modal: real checkpoints in a folder, one batch at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from streetvision.engine.transport import ModelPin, RemoteAnswer, RemoteBatch, RemoteFailure, RemoteTrouble
from streetvision.engine.types import ImageArray, RunnerFailure, RunnerOutput
from streetvision.models.checkpoint import save_checkpoint
from streetvision.models.dinov3 import build, tiny_config
from streetvision.runner.remote import pin_of
from streetvision.runner.torch_runner import TorchRunner
from streetvision.serverless.payload import batch_payload, read_answer
from streetvision.serverless.replica import KEPT, Replica

SIDE = tiny_config().input_size


def put(volume: Path, version: str = "1.0.0", seed: int = 0) -> ModelPin:
    """A small model on the volume, as a deployment uploads it."""
    torch.manual_seed(seed)
    config = replace(tiny_config(depth=1), version=version)
    made = save_checkpoint(volume / "making", config, build(config).state_dict())
    pin = pin_of(version, made)
    (volume / "making").rename(volume / pin.fingerprint)
    return pin


def opened(folder: Path) -> TorchRunner:
    return TorchRunner(folder, device="cpu", buckets=(1, 2), threads=1)


def ask(replica: Replica, pin: ModelPin, count: int = 2, seconds: float = 5.0) -> RemoteAnswer:
    images = np.random.default_rng(count).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    sent = RemoteBatch(pin, images, (seconds,) * count, (0.0,) * count, ("",) * count)
    return read_answer(replica.answer(batch_payload(sent)))


def trouble(replica: Replica, pin: ModelPin, seconds: float = 5.0) -> RemoteFailure:
    with pytest.raises(RemoteFailure) as told:
        ask(replica, pin, seconds=seconds)
    return told.value


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def test_a_container_answers_as_the_embedded_model_does(volume: Path) -> None:
    pin = put(volume)
    replica = Replica(volume, opened, name="ta-1")
    replica.warm()
    answer = ask(replica, pin)
    images = np.random.default_rng(2).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    runner = opened(volume / pin.fingerprint)
    runner.warmup()
    expected = runner.run(images)
    assert (answer.model, answer.replica) == (pin, "ta-1")
    assert np.array_equal(answer.logits, expected.logits)
    assert np.array_equal(answer.embeddings, expected.embeddings)


class Grey:
    """A runner that says what it is asked to."""

    version, input_size, resize, buckets = "1.0.0", SIDE, "squash", (1, 2)

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls: list[str] = []
        self.busy = threading.Lock()

    def warmup(self, buckets: Sequence[int]) -> dict[int, float]:
        self.calls.append(f"warmup {len(buckets)}")
        return {}

    def run(self, images: ImageArray) -> RunnerOutput:
        assert self.busy.acquire(blocking=False), "two batches at once"
        try:
            self.calls.append("run")
            if self.error is not None:
                raise self.error
            threading.Event().wait(0.01)
            return RunnerOutput(np.zeros(len(images), np.float32), np.zeros((len(images), 4), np.float32))
        finally:
            self.busy.release()

    def close(self) -> None:
        self.calls.append("close")


def test_warming_loads_before_the_first_request(volume: Path) -> None:
    pin, runner = put(volume), Grey()
    opened_ = list[Path]()
    replica = Replica(volume, lambda folder: opened_.append(folder) or runner)  # type: ignore[func-returns-value]
    replica.warm()
    assert runner.calls == ["warmup 2"]
    ask(replica, pin)
    assert opened_ == [volume / pin.fingerprint]
    assert runner.calls == ["warmup 2", "warmup 0", "run"]  # each thread sets itself up before it runs


def test_a_volume_that_is_empty_or_not_there_is_no_failure(tmp_path: Path) -> None:
    Replica(tmp_path / "none", opened).warm()


def test_a_damaged_model_costs_neither_the_start_nor_the_others(volume: Path) -> None:
    good, bad = put(volume), put(volume, "2.0.0", seed=1)
    (volume / bad.fingerprint / "model.safetensors").write_bytes(b"junk")
    replica = Replica(volume, opened)
    replica.warm()
    assert len(ask(replica, good).logits) == 2
    assert trouble(replica, bad).trouble is RemoteTrouble.FAILED


def test_a_model_that_is_not_there_is_told_after_a_fresh_look(volume: Path) -> None:
    pin = ModelPin("3.0.0", "cd" * 32)
    looks = list[str]()
    failure = trouble(Replica(volume, opened, refresh=lambda: looks.append("look")), pin)
    assert (failure.trouble, looks) == (RemoteTrouble.UNKNOWN_VERSION, ["look"])
    assert "cdcdcdcdcdcd is not deployed" in str(failure)


def test_a_model_uploaded_since_the_start_is_found(volume: Path, tmp_path: Path) -> None:
    pin = put(tmp_path)

    def refresh() -> None:
        (tmp_path / pin.fingerprint).rename(volume / pin.fingerprint)

    assert len(ask(Replica(volume, opened, refresh=refresh), pin).logits) == 2


def test_other_weights_under_a_fingerprint_are_refused(volume: Path) -> None:
    pin, other = put(volume), put(volume, "2.0.0", seed=1)
    (volume / pin.fingerprint).rename(volume / "aside")
    (volume / other.fingerprint).rename(volume / pin.fingerprint)
    assert trouble(Replica(volume, opened), pin).trouble is RemoteTrouble.OTHER_WEIGHTS


@pytest.mark.parametrize("fingerprint", ["", "..", "../../etc", "AB" * 32, "ab" * 33])
def test_a_fingerprint_is_no_path(volume: Path, fingerprint: str) -> None:
    assert trouble(Replica(volume, opened), ModelPin("1.0.0", fingerprint)).trouble is RemoteTrouble.INVALID


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RunnerFailure("the model failed on cuda: CUDA out of memory. Tried"), RemoteTrouble.NO_MEMORY),
        (RunnerFailure("the model's answer is not finite"), RemoteTrouble.FAILED),
        (ValueError("images must be uint8"), RemoteTrouble.FAILED),
        (KeyError("a defect"), RemoteTrouble.FAILED),
    ],
)
def test_a_failure_is_told_and_the_container_goes_on(volume: Path, error: Exception, expected: RemoteTrouble) -> None:
    pin, runner = put(volume), Grey(error)
    replica = Replica(volume, lambda _: runner)
    assert trouble(replica, pin).trouble is expected
    runner.error = None
    assert len(ask(replica, pin).logits) == 2


def test_a_batch_that_waited_too_long_is_not_computed(volume: Path) -> None:
    pin, runner = put(volume), Grey()
    now = iter([0.0, 6.0])
    assert trouble(Replica(volume, lambda _: runner, clock=lambda: next(now)), pin).trouble is RemoteTrouble.OVERLOADED
    assert "run" not in runner.calls


def test_calls_side_by_side_are_computed_one_after_another(volume: Path) -> None:
    pin, runner = put(volume), Grey()
    replica = Replica(volume, lambda _: runner)
    replica.warm()
    answers = list[RemoteAnswer]()
    threads = [threading.Thread(target=lambda: answers.append(ask(replica, pin))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6


def test_the_least_used_model_makes_room(volume: Path) -> None:
    runners = {put(volume, f"{n}.0.0", seed=n).fingerprint: Grey() for n in range(1, KEPT + 2)}
    replica = Replica(volume, lambda folder: runners[folder.name])
    first, *others = runners
    for fingerprint in (first, *others):
        ask(replica, ModelPin("", fingerprint))
    assert [runner.calls[-1] for runner in runners.values()] == ["close", *["run"] * KEPT]


def test_junk_is_answered_by_a_trouble(volume: Path) -> None:
    for payload in (None, {}, {"format": 9}, {"format": 1}):
        assert "trouble" in Replica(volume, opened).answer(payload)
