"""A real state folder in small: sets of drawn pictures, a tiny model in the registry, and jobs done in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from streetvision.models.checkpoint import load_checkpoint, save_checkpoint
from streetvision.models.network import build, tiny_config
from streetvision.models.versions import BUNDLED
from streetvision.registry.registry import REGISTRY_FOLDER, Registry
from streetvision.retrain import worker
from streetvision.retrain.child import Tell
from streetvision.retrain.step import Context, Output
from streetvision.retrain.steps.table import steps
from streetvision.retrain_log.records import RunRecord, StepName
from streetvision.retrain_log.schema import FOLDER
from streetvision.retrain_log.store import RetrainStore
from streetvision.settings.model import ModelSettings
from streetvision.settings.oracle import OracleSettings
from streetvision.settings.retrain import RetrainSettings
from streetvision.settings.settings import Settings
from streetvision.sources.adding import add
from streetvision.sources.arranging import arrange
from streetvision.sources.folder import open_folder
from streetvision.sources.place import dataset_folder
from streetvision.sources.splitting import Shares
from streetvision.sources.store import writing

from .fakes import FakeTime

SIDE = 32
RECIPE = """
[tune]
method = "full"
[optimiser]
lr = 2e-3
epochs = 4
[augment]
validator = 0.0
native = 1.0
camera = 0.0
sideways = 0.0
[run]
batch = 16
precision = "fp32"
log = "none"
"""


def draw(folder: Path, numbers: range, *, wrong: Callable[[int], bool] = lambda _: False) -> Path:
    """Pictures that resemble no other; what is orange shows roadwork, unless the label is wrong."""
    for number in numbers:
        rng = np.random.default_rng(number)
        half = rng.integers(0, 160, (6, 4, 3))
        pixels = np.concatenate([half, half[:, ::-1]], axis=1)
        orange = number % 2 == 0
        if orange:
            pixels = pixels // 2 + np.array([120, 60, 0])
        name = "roadwork" if orange != wrong(number) else "none"
        path = folder / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC).save(path)
    return folder


def store_set(state: Path, name: str, pictures: Path) -> None:
    with writing(dataset_folder(name, state)) as store:
        add(open_folder(pictures), store)
        arrange(store, Shares(val=0.15, test=0.25))


def tiny_model(folder: Path, version: str, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = replace(tiny_config(name="tiny", version=version, depth=1, width=32), input_size=SIDE)
    save_checkpoint(folder, config, build(config).state_dict())
    return folder


def in_process(
    context: Context, job: str, request: Mapping[str, Any], tell: Tell, stop: Callable[[], bool]
) -> dict[str, Any]:
    """A job without a process of its own; what goes in and out has to be JSON all the same."""
    found = worker.do(job, json.loads(json.dumps(request)), tell, stop)
    return dict(json.loads(json.dumps(found, allow_nan=False)))


@dataclass
class Street:
    """One state folder; `do` carries out steps as the pipeline would."""

    state: Path
    wanted: RetrainSettings = field(default_factory=RetrainSettings)
    time: FakeTime = field(default_factory=FakeTime)
    events: list[Mapping[str, Any]] = field(default_factory=list)
    stop: Callable[[], bool] = lambda: False
    oracle: OracleSettings = field(default_factory=OracleSettings)
    run: RunRecord = field(default_factory=lambda: RunRecord("20261130-0200", "2026-11-30T02:00:00+00:00", "command"))

    def __post_init__(self) -> None:
        self.store = RetrainStore(self.state / FOLDER)
        self.registry = Registry(self.state / REGISTRY_FOLDER)

    @property
    def settings(self) -> Settings:
        bundled = ModelSettings(choice=BUNDLED)
        plain = replace(Settings(), state_dir=self.state, device="cpu", model=bundled)
        return replace(plain, retrain=self.wanted, oracle=self.oracle)

    def want(self, **changes: Any) -> None:
        self.wanted = replace(self.wanted, **changes)

    def outputs(self) -> dict[StepName, Output]:
        return self.store.outputs(self.run.id)

    def context(self, name: StepName) -> Context:
        folder = self.state / FOLDER / "runs" / self.run.id
        folder.mkdir(parents=True, exist_ok=True)
        now = self.store.run(self.run.id) or self.run
        return Context(
            settings=self.settings,
            run=now,
            name=name,
            folder=folder,
            store=self.store,
            outputs=self.outputs(),
            clock=self.time.clock,
            tell=self.events.append,
            stop=self.stop,
        )

    def do(self, *names: StepName, work: Any = in_process, **more: Any) -> Output:
        """Begin, do and finish these steps; the last one's output."""
        if self.store.run(self.run.id) is None:
            self.store.add(self.run)
        output: Output = {}
        for name in names:
            self.store.begin_step(self.run.id, name, self.time.now())
            output = steps(work, **more)[name](self.context(name))
            self.store.finish_step(self.run.id, name, output, self.time.now())
        return output

    def verdicts(self) -> dict[str, bool]:
        return {one.gate: one.passed for one in self.store.verdicts(self.run.id)}


LEARNING = (
    StepName.COLLECT,
    StepName.LABEL,
    StepName.SYNTHESISE,
    StepName.DATASET,
    StepName.TRAIN,
)


def street(folder: Path, serving: Path | None = None, **wanted: Any) -> Street:
    """Two sets, and a tiny model that serves: the given one, or one that has learned nothing."""
    state = folder / "state"
    store_set(state, "streets", draw(folder / "streets", range(160)))
    store_set(state, "held", draw(folder / "held", range(1000, 1080)))
    (state / "recipe.toml").write_text(RECIPE)
    made = Street(
        state, RetrainSettings(datasets="streets", frozen="held", recipe=str(state / "recipe.toml"), mine=False)
    )
    made.want(**wanted)
    model = serving or tiny_model(folder / "model", "1.0.0")
    made.registry.add_folder(model, source="a test", version="1.0.0")
    made.registry.activate("1.0.0", over=BUNDLED, why="a test")
    return made


def spoiled(model: Path, target: Path) -> Path:
    """A copy of a model whose answers are turned round, as a bug in training would."""
    shutil.copytree(model, target)
    config, state = load_checkpoint(target)
    turned = {name: -value if name.startswith("head.fc.") else value for name, value in state.items()}
    save_checkpoint(target, config, turned, overwrite=True)
    return target
