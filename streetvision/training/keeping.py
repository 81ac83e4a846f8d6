"""What a run keeps on disk while it trains: the best weights until now, and the checkpoint that resuming takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from streetvision.base.disk import sentences, sync_folder
from streetvision.errors import EXIT_STOPPED, OperatorError, reason
from streetvision.training.judging import figures_of
from streetvision.training.module import Judged, TrainingModule
from streetvision.training.run_folder import RunFolder
from streetvision.training.tuning import learning
from streetvision.training.watching import REMEDY, LossWatch, TrainingFailed

Tell = Callable[[dict[str, Any]], None]
"""Hears what happens as fields that JSON can hold; `event` says what it is."""
ANSWERS = "answers/"
"""Before the names of a validation's answers in best.safetensors; weights are called as in the module."""
SCORE = "calibrated_nll"
"""Figure of a validation that decides which weights are best: the lowest. A proper score moves less by chance than
accuracy does, and the calibration that follows makes up for confidence alone."""

AGREED_EVERY = 16
"""Steps between two questions to the other processes."""


class Stopped(OperatorError):
    """The operator ended the run; it can be resumed."""

    exit_code = EXIT_STOPPED


class BestKeeper(L.Callback):
    """After each validation: its figures to the run's folder and the curves, and the weights where they are the best.

    Stands before the moving average among the callbacks, so that it sees what was judged.
    """

    def __init__(self, run: RunFolder, tell: Tell) -> None:
        self._run, self._tell = run, tell
        self.best = float("inf")
        self.judged_at = -1
        """Step of the last validation."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Judge, note, keep."""
        if not isinstance(pl_module, TrainingModule) or pl_module.judged is None:
            return
        judged, self.judged_at = pl_module.judged, trainer.global_step
        if not bool(torch.isfinite(judged.logits).all()):
            raise TrainingFailed(f"the network answers NaN after step {trainer.global_step:,}; {REMEDY}")
        figures = figures_of(judged)
        better = figures[SCORE] < self.best
        self.best = min(self.best, figures[SCORE])
        weights = _kept_weights(trainer, pl_module) if better else {}
        if trainer.is_global_zero:
            self._note(trainer, figures, better)
            if better:
                write_best(self._run.best, weights, judged)

    def _note(self, trainer: L.Trainer, figures: dict[str, float], better: bool) -> None:
        line = {"step": trainer.global_step, "epoch": trainer.current_epoch, "best": better, **figures}
        self._run.add_metrics(line)
        for logger in trainer.loggers:
            logger.log_metrics({f"val_{name}": value for name, value in figures.items()}, trainer.global_step)
        self._tell({"event": "validation", **line})

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"best": self.best, "judged_at": self.judged_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        self.best, self.judged_at = state_dict["best"], state_dict["judged_at"]


class LastKeeper(L.Callback):
    """Writes the checkpoint every so many minutes, at the end of each epoch and when the operator ends the run.

    Stands after the moving average among the callbacks, so that what it writes belongs together.
    """

    def __init__(
        self,
        run: RunFolder,
        watch: LossWatch,
        *,
        every_s: float,
        stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._watch, self._every_s, self._stop, self._clock = run, watch, every_s, stop, clock
        self._saved_at, self._step = clock(), 0

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object) -> None:
        """Save when it is time, between two steps of the optimiser; an epoch's last one is judged before."""
        if trainer.global_step == self._step or trainer.is_last_batch:
            return
        self._step = trainer.global_step
        stopping, due = self._agreed(trainer)
        if stopping or due:
            self._save(trainer)
        self._leave(trainer, stopping)

    def _leave(self, trainer: L.Trainer, stopping: bool) -> None:
        if stopping and trainer.global_step < trainer.max_steps:
            raise Stopped(f"stopped after step {trainer.global_step:,}")

    def _agreed(self, trainer: L.Trainer) -> tuple[bool, bool]:
        """Whether to stop, whether to save; several processes ask each other seldom, since asking waits for a GPU."""
        if trainer.world_size > 1 and self._step % AGREED_EVERY:
            return False, False
        together = trainer.strategy.reduce_boolean_decision
        wishes = self._stop(), self._clock() - self._saved_at >= self._every_s
        return together(wishes[0], all=False), together(wishes[1], all=False)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save after the epoch's validation."""
        self._save(trainer)
        self._leave(trainer, trainer.strategy.reduce_boolean_decision(self._stop(), all=False))

    def _save(self, trainer: L.Trainer) -> None:
        self._watch.look()
        place = self._run.path / "last.ckpt.part"
        with sentences("Saving the checkpoint"):
            trainer.save_checkpoint(place)
            if trainer.is_global_zero:
                sync_folder(place)
                place.replace(self._run.last)
        self._saved_at = self._clock()


def write_best(path: Path, weights: dict[str, torch.Tensor], judged: Judged) -> None:
    """Replace the best weights and their answers in one step."""
    answers = {"indices": judged.indices, "logits": judged.logits, "labels": judged.labels}
    state = weights | {ANSWERS + name: value.contiguous() for name, value in answers.items()}
    place = path.with_suffix(".part")
    with sentences("Keeping the best weights"):
        try:
            save_file(state, place)
        except SafetensorError as error:  # a full disk comes as one
            place.unlink(missing_ok=True)
            raise OperatorError(f"Keeping the best weights failed ({reason(error)}): free some space") from error
        sync_folder(place)
        place.replace(path)


def read_best(path: Path) -> tuple[dict[str, torch.Tensor], Judged]:
    """The weights that learnt, by their names in the network, and their answers; OperatorError where there are none."""
    try:
        state = load_file(path)
        judged = Judged(*(state[ANSWERS + name] for name in ("indices", "logits", "labels")))
    except FileNotFoundError as error:
        raise OperatorError("the run was not judged yet, so there is nothing to keep: resume it") from error
    except (OSError, SafetensorError, KeyError) as error:
        raise OperatorError(f"{path} is damaged ({reason(error)}): train anew") from error
    prefix = "net."
    weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return weights, judged


def _kept_weights(trainer: L.Trainer, module: TrainingModule) -> dict[str, torch.Tensor]:
    """The weights that learn, whole on the CPU; all devices must ask."""
    names = learning(module)
    state = trainer.strategy.lightning_module_state_dict()
    return {name: value.detach().cpu().contiguous() for name, value in state.items() if name in names}
