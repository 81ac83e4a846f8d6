"""What runs in a container: the models of a volume, warmed before the first request, one batch at a time.

It knows nothing of Modal: `app.py` gives it the volume's folder.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from streetvision.engine.transport import RemoteAnswer, RemoteBatch, RemoteFailure, RemoteTrouble
from streetvision.engine.types import Closing, Runner, RunnerFailure
from streetvision.errors import OperatorError
from streetvision.models.checks import SHA256, is_match
from streetvision.models.folder import CONFIG_FILE, read_config
from streetvision.runner.remote import pin_of
from streetvision.serverless.payload import BadPayload, Payload, answer_payload, read_batch, trouble_payload

KEPT = 2
"""Models in memory: the one that serves, and a canary or the one before."""
OUT_OF_MEMORY = "out of memory"

logger = logging.getLogger(__name__)


class Replica:
    """Answers batches by the models below `folder`, each in a folder named by its fingerprint."""

    def __init__(
        self,
        folder: Path,
        opening: Callable[[Path], Runner],
        *,
        name: str = "",
        refresh: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`opening` loads a checkpoint; `refresh` shows what was put into the folder since the start."""
        self._folder, self._opening, self._name, self._refresh, self._clock = folder, opening, name, refresh, clock
        self._runners: dict[str, Runner] = {}
        """By fingerprint, the least recently used first."""
        self._lock = threading.Lock()
        """A runner answers one batch at a time, and a GPU is no faster with two."""

    def warm(self) -> None:
        """Load and warm the newest models, so that a snapshot of the memory holds them; one that is amiss is told."""
        found = (
            [path for path in self._folder.iterdir() if is_match(path.name, SHA256)] if self._folder.is_dir() else []
        )
        for path in sorted(found, key=lambda path: path.stat().st_mtime)[-KEPT:]:
            try:
                self._load(path.name)
            except RemoteFailure as failure:
                logger.warning("the model %s cannot be warmed: %s", path.name[:12], failure)

    def answer(self, payload: object) -> Payload:
        """The answer to a batch, or why there is none; never raises."""
        arrived = self._clock()
        try:
            batch = read_batch(payload)
            with self._lock:
                return answer_payload(self._run(batch, arrived))
        except BadPayload as error:
            return trouble_payload(RemoteFailure(RemoteTrouble.INVALID, str(error)))
        except RemoteFailure as failure:
            return trouble_payload(failure)
        except Exception as error:  # a defect here must be told to the miner, not end the container
            logger.exception("a batch could not be answered")
            return trouble_payload(_failed(error))

    def _run(self, batch: RemoteBatch, arrived: float) -> RemoteAnswer:
        waited = self._clock() - arrived
        if max(batch.seconds) <= waited:
            raise RemoteFailure(RemoteTrouble.OVERLOADED, f"the batch waited {waited:.2g} s, longer than it had")
        runner = self._runner(batch.model.fingerprint)
        runner.warmup(())  # each call may come on another thread
        started = self._clock()
        try:
            output = runner.run(batch.images)
        except (RunnerFailure, ValueError) as error:
            raise _failed(error) from error
        seconds = self._clock() - started
        return RemoteAnswer(batch.model, output.logits, output.embeddings, seconds, waited, self._name)

    def _runner(self, fingerprint: str) -> Runner:
        if fingerprint not in self._runners:
            self._load(fingerprint)
        runner = self._runners.pop(fingerprint)
        self._runners[fingerprint] = runner
        return runner

    def _load(self, fingerprint: str) -> None:
        runner = self._open(self._find(fingerprint))
        runner.warmup(runner.buckets)
        while len(self._runners) >= KEPT:
            oldest = self._runners.pop(next(iter(self._runners)))
            if isinstance(oldest, Closing):
                oldest.close()
        self._runners[fingerprint] = runner

    def _find(self, fingerprint: str) -> Path:
        path = self._folder / fingerprint
        if not is_match(fingerprint, SHA256):
            raise RemoteFailure(RemoteTrouble.INVALID, "the batch names no model by its fingerprint")
        if not (path / CONFIG_FILE).is_file():
            self._refresh()
        if not (path / CONFIG_FILE).is_file():
            raise RemoteFailure(RemoteTrouble.UNKNOWN_VERSION, f"the model {fingerprint[:12]} is not deployed")
        return path

    def _open(self, path: Path) -> Runner:
        try:
            if pin_of("", read_config(path)).fingerprint != path.name:
                raise RemoteFailure(RemoteTrouble.OTHER_WEIGHTS, f"{path.name[:12]} holds another model: deploy again")
            return self._opening(path)
        except OperatorError as error:
            raise RemoteFailure(RemoteTrouble.FAILED, str(error)) from error


def _failed(error: Exception) -> RemoteFailure:
    trouble = RemoteTrouble.NO_MEMORY if OUT_OF_MEMORY in str(error).lower() else RemoteTrouble.FAILED
    return RemoteFailure(trouble, str(error) or type(error).__name__)
