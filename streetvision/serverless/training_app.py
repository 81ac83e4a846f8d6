"""The app of a training at Modal: it lives as long as the command that started it. Imports the extra `modal`."""

from __future__ import annotations

import io
import queue as queues
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import modal

from streetvision.serverless.app import NEEDS, image_with, volume_of
from streetvision.serverless.away import PICTURES, RUNS, Event
from streetvision.serverless.money import CORES, MEMORY_GIB
from streetvision.serverless.troubles import modal_sentences
from streetvision.settings.modal import CARDS, ModalSettings

MOUNT = "/training"
EVENTS, WISHES = "events", "wishes"
"""Partitions of the queue between the command and the container."""
TRAIN_NEEDS = (*NEEDS, "lightning", "peft", "tensorboard")
SAVE_S = 600
"""More than the paid time, until Modal ends a container that does not."""
LOOK_S = 2.0
MOST_EVENTS = 100


def learn_at_modal(name: str, seconds: float, queue: Any) -> dict[str, Any]:  # noqa: ANN401 - Modal's queue
    """In the container."""
    from streetvision.serverless.learning import learn_there
    from streetvision.training.run_folder import RunFolder

    def wished() -> bool:
        return queue.get(block=False, partition=WISHES) is not None

    volume = Path(MOUNT)
    run = RunFolder(volume / RUNS / name)
    ended = learn_there(run, volume, lambda event: queue.put(event, partition=EVENTS), wished, seconds)
    queue.put(ended, partition=EVENTS)
    return ended


def make_training_app(settings: ModalSettings, seconds: float) -> tuple[modal.App, Any]:
    """The app and its function, not running yet; needs no network."""
    app = modal.App(f"{settings.app}-training")
    function = app.function(
        image=image_with(TRAIN_NEEDS),
        gpu=CARDS[settings.card],
        cpu=CORES,
        memory=int(1024 * MEMORY_GIB),
        volumes={MOUNT: training_volume(settings)},
        timeout=int(seconds) + SAVE_S,
        max_containers=1,
        retries=0,
    )(learn_at_modal)
    return app, function


def training_volume(settings: ModalSettings, sdk: Any = modal) -> Any:  # noqa: ANN401 - Modal's, made at run time
    """The volume of runs and pictures, made when it is first used."""
    return volume_of(settings, sdk, name=f"{settings.app}-training")


class ModalJob:
    """A Job of away.py."""

    def __init__(self, call: Any, queue: Any) -> None:  # noqa: ANN401 - Modal's call and queue
        self._call, self._queue = call, queue

    def events(self) -> Iterator[Event]:
        """Until the call has ended and its last event is read."""
        with modal_sentences("training at Modal"):
            ended = False
            while True:
                events = self._queue.get_many(MOST_EVENTS, timeout=LOOK_S, partition=EVENTS)
                yield from events or [{}]
                if ended and not events:
                    return
                ended = self._has_ended()

    def stop(self) -> None:
        """Tell the container, which looks every few seconds."""
        with modal_sentences("stopping the training"):
            self._queue.put("stop", partition=WISHES)

    def _has_ended(self) -> bool:
        try:
            self._call.get(timeout=0)
        except (TimeoutError, queues.Empty):
            return False
        return True


class ModalPlace:
    """A Place of away.py, within `with`: the app runs as long."""

    def __init__(self, settings: ModalSettings, sdk: Any = modal) -> None:  # noqa: ANN401 - Modal's module
        self._settings, self._sdk = settings, sdk
        self._open = ExitStack()

    def __enter__(self) -> ModalPlace:
        return self

    def __exit__(self, *ending: object) -> None:
        with modal_sentences("ending the training's app"):
            self._open.close()

    def pictures(self) -> set[str]:
        """Names of the pictures there."""
        with modal_sentences("reading the volume"):
            try:
                return {Path(entry.path).name for entry in self._volume().listdir(f"/{PICTURES}")}
            except self._sdk.exception.NotFoundError:
                return set()

    def put(self, files: Mapping[str, Path | bytes]) -> None:
        """All of them or none: a batch is one commit."""
        with modal_sentences("sending pictures and weights"), self._volume().batch_upload(force=True) as batch:
            for place, content in files.items():
                batch.put_file(io.BytesIO(content) if isinstance(content, bytes) else str(content), f"/{place}")

    def fetch(self, place: str, file: Path) -> bool:
        """Bring a file here in one step."""
        part = file.with_name(f".{file.name}.part")
        try:
            with modal_sentences("fetching what was learnt"), part.open("wb") as target:
                try:
                    self._volume().read_file_into_fileobj(f"/{place}", target)
                except (FileNotFoundError, self._sdk.exception.NotFoundError):
                    return False
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
        return True

    def begin(self, run: str, seconds: float) -> ModalJob:
        """Start the app and the function in it."""
        with modal_sentences("starting the training"):
            app, function = make_training_app(self._settings, seconds)
            queue = self._open.enter_context(self._sdk.Queue.ephemeral())
            self._open.enter_context(app.run(environment_name=self._settings.environment or None))
            return ModalJob(function.spawn(run, seconds, queue), queue)

    def _volume(self) -> Any:  # noqa: ANN401 - Modal's
        return training_volume(self._settings, self._sdk)
