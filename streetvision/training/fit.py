"""One process's part of a run: from the run's folder to the best weights in it."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy

from streetvision.errors import OperatorError
from streetvision.training.averaging import MovingAverage
from streetvision.training.feeding import Feed, Ingredients, Place, make_feed, tell_unreadable
from streetvision.training.keeping import BestKeeper, LastKeeper, Tell
from streetvision.training.memory import out_of_memory
from streetvision.training.module import TrainingModule
from streetvision.training.pictures import Pictures
from streetvision.training.recipe import Recipe
from streetvision.training.reporting import Reporter
from streetvision.training.run_folder import RunFolder
from streetvision.training.signals import OwnSignals
from streetvision.training.starting import load_start
from streetvision.training.watching import LossWatch

LOOK_EVERY = 10
"""Steps between two looks at the losses on a GPU."""


def learn(
    run: RunFolder,
    pictures: Pictures,
    tell: Tell,
    *,
    stop: Callable[[], bool] = lambda: False,
    accelerator: str = "auto",
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Train from the last checkpoint, or from the start, to the last step; raises OperatorError.

    Leaves the best weights in the run's folder. Each of several processes calls it, with RANK and WORLD_SIZE set.
    """
    recipe, place = run.recipe(), Place.here(accelerator)
    net, _ = load_start(run.start)
    ingredients = Ingredients(recipe, pictures, net, run.start, place, tell)
    with _quiet(), contextlib.closing(_feed(ingredients)) as feed:
        total = feed.total_steps(recipe)
        if place.rank == 0:
            run.update(total_steps=total)
        module = TrainingModule(net, recipe, total_steps=total, augment=feed.augment)
        if recipe.run.compile:
            for block in net.backbone.blocks:
                block.compile(dynamic=False)
        watch = LossWatch(feed.examples, every=1 if place.device.type == "cpu" else LOOK_EVERY)
        best = BestKeeper(run, tell)
        last = LastKeeper(run, watch, every_s=60.0 * recipe.run.save_minutes, stop=stop, clock=clock)
        pictures_a_step = recipe.run.batch * recipe.run.accumulate * place.world
        average = [MovingAverage(recipe.optimiser.ema)] if recipe.optimiser.ema else []
        reporter = Reporter(tell, total, pictures_a_step, clock=clock)
        trainer = make_trainer(recipe, place, run, total, [OwnSignals(), watch, best, *average, last, reporter])
        _tell_where(trainer.loggers, tell)
        _fit(trainer, module, feed, run, best)
        watch.look()
        if place.rank == 0:
            run.update(step=trainer.global_step)
            tell_unreadable(feed.unreadable(), tell)


def _feed(of: Ingredients) -> Feed:
    try:
        return make_feed(of)
    except torch.cuda.OutOfMemoryError as error:
        batch = of.recipe.run.batch
        fewer = f"train anew with --set run.batch={max(1, batch // 2)}"
        raise OperatorError(f"the GPU has no memory for {batch} pictures at a time: {fewer}") from error


def _fit(trainer: L.Trainer, module: TrainingModule, feed: Feed, run: RunFolder, best: BestKeeper) -> None:
    """Train, and judge what came after the last whole epoch."""
    checkpoint = _readable(run.last) if run.last.is_file() else None
    try:
        trainer.fit(module, feed.train, feed.val, ckpt_path=checkpoint, weights_only=True)
        if best.judged_at != trainer.global_step:
            trainer.validate(module, feed.val, verbose=False)
    except torch.cuda.OutOfMemoryError as error:
        raise out_of_memory(error, module, feed.augment, trainer.strategy.root_device) from error
    except SystemExit as ended:  # so Lightning ends what Ctrl-C interrupts
        if isinstance(ended.__context__, KeyboardInterrupt):
            raise ended.__context__ from None
        raise


def _readable(checkpoint: Path) -> Path:
    """The checkpoint, if it holds what Lightning wrote and nothing that would run; OperatorError otherwise."""
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, UnpicklingError, EOFError, ValueError, LookupError) as error:
        raise OperatorError(
            f"{checkpoint} cannot be read: remove it to begin the run anew, or add the best weights with --finish"
        ) from error
    return checkpoint


def make_trainer(recipe: Recipe, place: Place, run: RunFolder, total: int, callbacks: list[L.Callback]) -> L.Trainer:
    """Lightning's trainer for a recipe, up to step `total`; it judges and keeps by the callbacks alone."""
    on_gpu = place.device.type == "cuda"
    return L.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=place.world if place.world > 1 else [place.device.index or 0] if on_gpu else 1,
        strategy=_strategy(recipe, place),
        precision=_precision(recipe, place),
        max_epochs=-1,
        max_steps=total,
        accumulate_grad_batches=recipe.run.accumulate,
        gradient_clip_val=recipe.optimiser.clip,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        callbacks=callbacks,
        logger=_logger(recipe, run) if place.rank == 0 else False,
        log_every_n_steps=10,
        default_root_dir=run.path,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _strategy(recipe: Recipe, place: Place) -> Strategy | str:
    if place.world == 1:
        return "auto"
    if recipe.run.strategy == "fsdp":
        return ModelParallelStrategy(place.world, 1, save_distributed_checkpoint=False)
    unused = recipe.model.head == "cls_mean_attention" and not recipe.loss.patches  # its scores' bias cancels out
    return DDPStrategy(find_unused_parameters=unused, gradient_as_bucket_view=True)


def _precision(recipe: Recipe, place: Place) -> Any:  # noqa: ANN401  # Lightning's own words
    if recipe.run.precision == "auto":
        fits = place.device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16-mixed" if fits else "32-true"
    return {"bf16": "bf16-mixed", "fp32": "32-true"}[recipe.run.precision]


def _logger(recipe: Recipe, run: RunFolder) -> Logger | bool:
    """Curves on this machine; W&B keeps them here too unless WANDB_MODE says otherwise."""
    if recipe.run.log == "none":
        return False
    try:
        if recipe.run.log == "wandb":
            return _wandb(run)
        return TensorBoardLogger(run.logs, name="", version="")
    except ModuleNotFoundError as error:
        raise OperatorError(
            f"run.log = {recipe.run.log} needs the extra `train`: pip install 'streetvision[train]'"
        ) from error


def _wandb(run: RunFolder) -> Logger:
    """It would speak on stderr and listen on stdout, which belong to the run."""
    import wandb

    run.logs.mkdir(exist_ok=True)
    offline = os.environ.get("WANDB_MODE", "offline") != "online"
    quiet = wandb.Settings(silent=True, console="off", mode="offline" if offline else "online")
    wandb.setup(quiet)
    project = os.environ.get("WANDB_PROJECT", "streetvision")
    return WandbLogger(name=run.name, project=project, save_dir=run.logs, offline=offline, id=run.name, settings=quiet)


def _tell_where(loggers: Iterable[Logger], tell: Tell) -> None:
    """The address of the curves at W&B, where they go there."""
    for logger in loggers:
        if isinstance(logger, WandbLogger) and (url := logger.experiment.url):
            tell({"event": "tracking", "url": url})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice to itself: the run's own words are all that an operator needs."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
