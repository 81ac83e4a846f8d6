"""A training's app, by Modal's own library and without its service; its volume and queue are replaced."""

from __future__ import annotations

import inspect
import warnings
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("modal", reason="the extra `modal` is not installed")

import modal

pytest.importorskip("lightning", reason="the extra `train` is not installed")

from streetvision.errors import OperatorError
from streetvision.serverless import training_app as ours
from streetvision.serverless.away import ENDED, RUNS, learn_away
from streetvision.serverless.money import Money
from streetvision.settings.modal import CARDS, ModalSettings
from streetvision.training.keeping import Stopped
from streetvision.training.pictures import gather

from ..training.pictures import drawn_set, small_run
from ..training.test_fit import around, quick
from .fake_sdk import FakeSdk
from .folder_place import FolderPlace


class FakeQueue:
    """As modal.Queue."""

    def __init__(self) -> None:
        self.partitions: defaultdict[str, deque[Any]] = defaultdict(deque)

    def put(self, value: Any, *, partition: str) -> None:
        self.partitions[partition].append(value)

    def get(self, *, block: bool, partition: str) -> Any:
        return self.partitions[partition].popleft() if self.partitions[partition] else None

    def get_many(self, n_values: int, *, timeout: float, partition: str) -> list[Any]:
        found = [self.get(block=False, partition=partition) for _ in range(n_values)]
        return [value for value in found if value is not None]


@pytest.mark.parametrize("card", CARDS)
def test_an_app_is_made_without_token_or_network(card: str) -> None:
    app, function = ours.make_training_app(ModalSettings(card=card), 600.0)
    assert app.name == "streetvision-training"
    assert hasattr(function, "spawn")


def test_the_function_trains_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modal's `.local()` over a folder in the volume's place."""
    pictures = gather([drawn_set(tmp_path / "set")])
    run = small_run(tmp_path / "state", quick("head"), pictures)
    place = FolderPlace(tmp_path / "volume")
    ended = {"event": ENDED, "state": "stopped", "why": "", "seconds": 0.0}
    monkeypatch.setattr(place, "begin", lambda *_: SimpleNamespace(events=lambda: iter([ended])))
    with pytest.raises(Stopped):  # all is sent, and nothing learnt
        learn_away(run, pictures, around(tmp_path / "state"), place, Money(10.0, 0.001))
    monkeypatch.setattr(ours, "MOUNT", str(tmp_path / "volume"))
    _, function = ours.make_training_app(ModalSettings(), 600.0)
    channel = FakeQueue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Modal says that volumes are not mounted here
        ended = function.local(run.name, 600.0, channel)
    assert (ended["state"], ended["why"]) == ("done", "")
    assert channel.partitions["events"][-1] == ended
    assert (tmp_path / "volume" / RUNS / run.name / "best.safetensors").is_file()


class Call:
    """A call that ends after so many looks, or with an error."""

    def __init__(self, looks: int, error: Exception | None = None) -> None:
        self.looks, self.error = looks, error

    def get(self, timeout: float) -> dict[str, Any]:
        self.looks -= 1
        if self.looks > 0:
            raise TimeoutError
        if self.error is not None:
            raise self.error
        return {}


def test_events_are_read_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "LOOK_S", 0.0)
    channel = FakeQueue()
    for step in range(150):
        channel.put({"event": "progress", "step": step}, partition="events")
    channel.put({"event": ENDED}, partition="events")
    found = [event for event in ours.ModalJob(Call(1), channel).events() if event]
    assert [event.get("step") for event in found] == [*range(150), None]


def test_a_wish_travels_by_the_queue() -> None:
    channel = FakeQueue()
    ours.ModalJob(Call(1), channel).stop()
    assert channel.get(block=False, partition="wishes") == "stop"


def test_a_container_that_fails_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "LOOK_S", 0.0)
    error = modal.exception.RemoteError("container exited with exit code 137")
    with pytest.raises(OperatorError, match=r"training at Modal failed \(container exited .*\): name a larger card"):
        list(ours.ModalJob(Call(2, error), FakeQueue()).events())


class TrainingSdk(FakeSdk):
    """With a volume that can be read."""

    def _volume(self, name: str, **options: Any) -> Any:
        found = super()._volume(name, **options)
        found.read_file_into_fileobj = self._read
        found.listdir = self._listdir_of
        return found

    def _read(self, path: str, target: Any) -> int:
        self._check(deployed=False)
        if path not in self.files:
            raise self.exception.NotFoundError("no such file")
        return int(target.write(self.files[path]))

    def _listdir_of(self, path: str) -> list[Any]:
        found = [SimpleNamespace(path=name) for name in self.files if name.startswith(f"{path}/")]
        if not found:
            raise self.exception.NotFoundError("no such folder")
        return found

    @contextmanager
    def _batch(self, force: bool = False) -> Iterator[Any]:
        put = dict[str, bytes]()

        def put_file(local: Any, remote: str) -> None:
            put[remote] = Path(local).read_bytes() if isinstance(local, str) else local.read()

        yield SimpleNamespace(put_file=put_file)
        self.files |= put


def test_files_go_and_come(tmp_path: Path) -> None:
    sdk = TrainingSdk()
    with ours.ModalPlace(ModalSettings(), sdk) as place:
        assert place.pictures() == set()
        (tmp_path / "a.png").write_bytes(b"picture")
        place.put({"pictures/aa.png": tmp_path / "a.png", "runs/one/train.jsonl": b"{}"})
        assert place.pictures() == {"aa.png"}
        assert place.fetch("runs/one/train.jsonl", tmp_path / "here")
        assert (tmp_path / "here").read_bytes() == b"{}"
        assert not place.fetch("runs/one/last.ckpt", tmp_path / "last.ckpt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "here"]
    assert ("volume", ("streetvision-training", None, True)) in sdk.asked


def test_without_a_token_nothing_is_sent(tmp_path: Path) -> None:
    sdk = TrainingSdk(refusing=True)
    with (
        ours.ModalPlace(ModalSettings(), sdk) as place,
        pytest.raises(OperatorError, match=r"fetching what was learnt failed \(Token missing\)"),
    ):
        place.fetch("runs/one/last.ckpt", tmp_path / "last.ckpt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("found", "arguments", "named"),
    [
        (lambda: modal.Queue.ephemeral, (), {}),
        (lambda: modal.Queue.from_name("q").put, ({},), {"partition": "events"}),
        (lambda: modal.Queue.from_name("q").get, (), {"block": False, "partition": "wishes"}),
        (lambda: modal.Queue.from_name("q").get_many, (10,), {"timeout": 2.0, "partition": "events"}),
        (lambda: modal.App("app").run, (), {"environment_name": None}),
        (lambda: modal.Volume.from_name("v").read_file_into_fileobj, ("/a", None), {}),
        (lambda: modal.Volume.from_name("v").listdir, ("/pictures",), {}),
        (lambda: vars(modal)["FunctionCall"].get, (), {"timeout": 0}),
    ],
)
def test_modals_library_takes_what_we_pass(found: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    signature = inspect.signature(found())
    itself = (None,) if {"self", "cls"} & signature.parameters.keys() else ()
    signature.bind(*itself, *arguments, **named)
