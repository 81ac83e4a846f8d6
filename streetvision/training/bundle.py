"""From a trained network to the checkpoint that ships: calibration, honest figures, the card and the files."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from streetvision.base.resources import usable_cpus
from streetvision.evaluation.calibration import fit_calibration, judge
from streetvision.models.checkpoint import load_checkpoint, save_checkpoint
from streetvision.models.config import ModelConfig
from streetvision.models.folder import read_config
from streetvision.models.logits import sigmoids
from streetvision.models.network import StreetVisionNet, load, tiny_config
from streetvision.training.bundled_settings import TrainSettings
from streetvision.training.evaluation import (
    NATIVE_VIEW,
    VIEWS,
    EvaluationPicture,
    Scored,
    collect,
    native_view,
    pool_views,
    raw_logits,
    scene_views,
    score,
)
from streetvision.training.held_out import CLOSE_VIEW, COMPOSITE_VIEW, composite_views, street_views
from streetvision.training.ranks import ALONE, Ranks
from streetvision.training.sources import CLOSE_UPS, STREETS
from streetvision.training.train import Log, Material, TrainingResult, train

NAME, VERSION = "streetvision-bundled", "0.4.0"
WIDTH, INPUT_SIZE = 256, 320
CALIBRATION_SEEDS = 200_000_000
TEST_SEEDS = 300_000_000
NATIVE_CALIBRATION_SEEDS = 400_000_000
NATIVE_TEST_SEEDS = 500_000_000
"""First seeds of the ranges that measure; training starts at 1,000,000,000 and challenges end at 100,000,000."""
CALIBRATED_ON = ("clean", "level_0", "level_1", "level_2", "level_3", NATIVE_VIEW)


@dataclass(frozen=True)
class MeasureSettings:
    """How many fresh scenes calibrate and judge."""

    calibration: int = 1500
    test: int = 4000
    native_calibration: int = 120
    native_test: int = 480
    composites: int = 768
    workers: int = 16


def bundled_config(depth: int = 8, width: int = WIDTH, input_size: int = INPUT_SIZE) -> ModelConfig:
    """The description of the network that ships, before training; in other sizes it serves measurements alone."""
    config = tiny_config(name=NAME, version=VERSION, depth=depth, width=width)
    head = replace(config.head, kind="cls_mean_attention", embedding_dim=3 * width)
    kwargs = {**config.architecture_kwargs, "init_values": 0.1}
    return replace(config, architecture_kwargs=kwargs, head=head, input_size=input_size)


def train_bundle(
    folder: Path,
    config: ModelConfig,
    settings: TrainSettings,
    device: torch.device,
    *,
    material: Material | None = None,
    log: Log = print,
    ranks: Ranks = ALONE,
) -> TrainingResult:
    """Train and write a checkpoint folder that is not calibrated yet; its card says how it was trained.

    Of several processes the first one writes and speaks.
    """
    log = log if ranks.first else _silent
    start = None if material is None or material.start is None else read_config(material.start).sha256

    def save(outcome: TrainingResult) -> None:
        figures = {"training": _training_figures(settings, outcome, device) | {"start": start}}
        described = replace(config, card=figures)
        save_checkpoint(folder, described, outcome.net.state_dict(), dtype=torch.float16, overwrite=True)
        log(f"wrote {folder} after {outcome.steps} steps, {outcome.samples} pictures")

    outcome = train(
        config, settings, device, log=log, material=material, save=save if ranks.first else None, ranks=ranks
    )
    if ranks.first:
        save(outcome)
    return outcome


def _silent(_line: str) -> None:
    """What the other processes say."""


def measure_bundle(
    folder: Path,
    measure: MeasureSettings,
    device: torch.device,
    *,
    photos: Sequence[Path] = (),
    log: Log = print,
) -> dict[str, Any]:
    """Calibrate and measure the stored weights on fresh pictures and write the card; returns the figures.

    With `photos` (see `photographs`) composites, close-ups and held-out street photographs calibrate too: every other
    one does, and the rest judge.
    """
    loaded = load(folder, device=device)
    net, card_before = loaded.net, loaded.config.card
    training = card_before.get("training", card_before.get("figures", {}).get("training"))
    size = loaded.config.input_size
    nearer = nearer_to_photographs(photos, measure, size, device) if photos else {}
    halves = [view for views in nearer.values() for view in views[0::2]]
    config = calibrated(net, replace(loaded.config, temperature=1.0, threshold=0.5), measure, halves, log)
    figures = measured(net, config, measure, log)
    if nearer:
        for name in (COMPOSITE_VIEW, CLOSE_VIEW):
            figures["views"][name] = _figures(score(net, nearer[name][1::2]), config)
            log(f"{name}: {json.dumps(figures['views'][name])}")
        figures["photographs"] = {
            "count": len(nearer["photographs"][1::2]),
            "false_positive_rate": _positive_share(net, config, nearer["photographs"][1::2]),
            "false_positive_rate_augmented": _positive_share(net, config, nearer["crops"][1::2]),
        }
        log(f"photographs: {json.dumps(figures['photographs'])}")
    figures["training"] = training
    config = replace(config, created=datetime.now(UTC).isoformat(timespec="seconds"), card=card(figures))
    _, state = load_checkpoint(folder)
    save_checkpoint(folder, config, state, overwrite=True)
    (folder / "README.md").write_text(readme(figures), encoding="utf-8")
    return figures


def nearer_to_photographs(
    photos: Sequence[Path], measure: MeasureSettings, size: int, device: torch.device
) -> dict[str, list[EvaluationPicture]]:
    """Composites, close-ups, held-out street photographs and crops of them."""
    whole, cut = street_views(photos, size)
    composites, close = (
        composite_views(photos, measure.composites, size, device, workers=measure.workers, style=style)
        for style in (STREETS, CLOSE_UPS)
    )
    return {COMPOSITE_VIEW: composites, CLOSE_VIEW: close, "photographs": whole, "crops": cut}


def calibrated(
    net: StreetVisionNet,
    config: ModelConfig,
    measure: MeasureSettings,
    further: Sequence[EvaluationPicture],
    log: Log,
) -> ModelConfig:
    """The config with temperature and threshold fitted on the calibration seeds and `further` pictures together."""
    size, started = config.input_size, time.monotonic()
    sets = collect(scene_views, _seeds(CALIBRATION_SEEDS, measure.calibration), size, measure.workers)
    native = _seeds(NATIVE_CALIBRATION_SEEDS, measure.native_calibration)
    sets |= collect(native_view, native, size, measure.workers)
    scored = score(net, balanced([*pool_views(sets, CALIBRATED_ON), *further]))
    found = fit_calibration(scored.logits, scored.labels)
    seconds = time.monotonic() - started
    log(f"temperature {found.temperature:.3f}, threshold {found.threshold:.3f}, {seconds:.0f} s")
    return replace(config, temperature=found.temperature, threshold=found.threshold)


def balanced(views: Sequence[EvaluationPicture]) -> list[EvaluationPicture]:
    """As many with works as without, the more frequent evenly thinned out: a threshold must not learn their share."""
    classes = [[view for view in views if view.label == label] for label in (True, False)]
    count = min(len(members) for members in classes)
    return [members[at * len(members) // count] for members in classes for at in range(count)]


def measured(net: StreetVisionNet, config: ModelConfig, measure: MeasureSettings, log: Log) -> dict[str, Any]:
    """Figures per kind of picture on the test seeds."""
    size, started = config.input_size, time.monotonic()
    sets = collect(scene_views, _seeds(TEST_SEEDS, measure.test), size, measure.workers)
    sets |= collect(native_view, _seeds(NATIVE_TEST_SEEDS, measure.native_test), size, measure.workers)
    figures: dict[str, Any] = {"temperature": config.temperature, "threshold": config.threshold, "views": {}}
    for name in (*VIEWS, NATIVE_VIEW):
        figures["views"][name] = _figures(score(net, sets[name]), config)
        log(f"{name}: {json.dumps(figures['views'][name])}")
    log(f"measured in {time.monotonic() - started:.0f} s")
    return figures


def _figures(scored: Scored, config: ModelConfig) -> dict[str, float]:
    logits = scored.logits / config.temperature
    figures = asdict(judge(logits, scored.labels, threshold=config.threshold))
    figures["ceiling"] = scored.ceiling
    figures["accuracy_in_view"] = judge(logits, scored.in_view, threshold=config.threshold).accuracy
    return {name: round(value, 4) for name, value in figures.items()}


def _seeds(first: int, count: int) -> range:
    return range(first, first + count)


def _positive_share(net: StreetVisionNet, config: ModelConfig, views: Sequence[EvaluationPicture]) -> float:
    probabilities = sigmoids(raw_logits(net, [view.pixels for view in views]) / config.temperature)
    return round(float((probabilities > config.threshold).mean()), 4)


def _training_figures(settings: TrainSettings, outcome: TrainingResult, device: torch.device) -> dict[str, Any]:
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {usable_cpus():g} cores"
    return {
        "device": machine,
        "torch": torch.__version__,
        "seconds": round(outcome.seconds, 1),
        "steps": outcome.steps,
        "pictures": outcome.samples,
        "scenes_rendered": outcome.rendered,
        "settings": {name: value for name, value in asdict(settings).items() if value is not None},
    }


WHAT = (
    "A small DINOv3-architecture vision transformer trained from scratch on made pictures of streets with and without "
    "roadwork: procedural drawings, and rendered works laid into photographs and photo textures. It exists so that "
    "the miner, its tests and its demo run with no download. It has never seen a real photograph of roadwork; "
    "docs/training-bundled.md says how far it carries over to real streets. It is not meant to earn on a public "
    "network."
)


def card(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The card in model.json."""
    return {
        "what": WHAT,
        "data": "Drawn scenes of streetvision.scenes, and its sprites in photographs of freely licensed packages.",
        "limits": "On real streets small or distant works are missed, and signs and odd clutter alarm too often.",
        "made_by": "scripts/train_bundled.py",
        "figures": dict(figures),
    }


def readme(figures: Mapping[str, Any]) -> str:
    """README.md beside the weights."""
    rows = [
        f"| {name} | {one['count']} | {one['accuracy']:.3f} | {one['ceiling']:.3f} | {one['mcc']:.3f} | "
        f"{one['false_positive_rate']:.3f} | {one['false_negative_rate']:.3f} | {one['ece']:.3f} |"
        for name, one in figures["views"].items()
    ]
    lines = [
        "# The bundled checkpoint",
        "",
        WHAT,
        "",
        f"Decision threshold {figures['threshold']:.3f} on the calibrated probability, temperature "
        f"{figures['temperature']:.3f}, both fitted on pictures of their own. Figures on made pictures whose seeds "
        "were never trained or calibrated on; labels are those of the whole scene, as the validators keep them, so "
        "that works which a crop cut out count as missed. `ceiling` is the share whose label still holds for what is "
        "left in view (half of an object, 0.2 % of the picture); smaller remnants let a model pass it slightly.",
        "",
        "| pictures | count | accuracy | ceiling | MCC | false positives | false negatives | ECE |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
        "`level_0` to `level_3` are the validators' augmentation levels, `stress` goes beyond them, `native` are "
        "pictures of 1024x640 to 4032x3024 pixels reduced to the model's input, `composites` and "
        "`close-ups` new sprites and signs over photographs that never trained, labelled by what they show.",
        *_photograph_lines(figures),
        "",
        "Made by `python scripts/train_bundled.py`; `model.json` holds the settings and all figures.",
    ]
    return "\n".join(lines) + "\n"


def _photograph_lines(figures: Mapping[str, Any]) -> list[str]:
    photos = figures.get("photographs")
    if not photos:
        return []
    return [
        "",
        f"On {photos['count']} real street photographs without works, none of them trained or calibrated on, it raised "
        f"a false alarm on {photos['false_positive_rate']:.1%} of the whole pictures and on "
        f"{photos['false_positive_rate_augmented']:.1%} of augmented crops of them.",
    ]
