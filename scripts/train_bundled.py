"""Train the checkpoint that ships with the package, then calibrate and measure it on fresh pictures.

`python scripts/train_bundled.py --photos FOLDER --teacher FILE` does both; without them it trains on drawn and rendered
pictures alone (docs/training-bundled.md). On one H200 with 16 cores training takes a quarter of an hour, all included.
Measuring needs no GPU: `--only train` and `--only measure` do one part, on different machines if need be. `--smoke`
runs every step in some minutes on a CPU and leaves a useless checkpoint.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streetvision.training.ranks import Ranks


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("streetvision/assets/bundled"), help="checkpoint folder")
    parser.add_argument("--metrics", type=Path, help="also write the figures to this JSON file")
    parser.add_argument("--only", choices=("train", "measure"), help="do one part")
    parser.add_argument("--budget-s", type=float, default=850.0, help="time for all of it in seconds")
    parser.add_argument("--max-steps", type=int, help="stop after so many steps, to see how long they take")
    parser.add_argument("--batch", type=int, default=768, help="pictures per step")
    parser.add_argument("--depth", type=int, default=8, help="transformer blocks")
    parser.add_argument("--width", type=int, default=256, help="channels, a multiple of 64; 384 and depth 12: a ViT-S")
    parser.add_argument("--size", type=int, default=320, help="pixels of a side, a multiple of 16")
    parser.add_argument("--learning-rate", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--adamw", action="store_true", help="AdamW for all weights in place of Muon for matrices")
    parser.add_argument("--workers", type=int, default=12, help="processes that render")
    parser.add_argument("--sprites", type=int, default=6000, help="works and look-alikes to lay into pictures")
    parser.add_argument("--close-sprites", type=int, default=2400, help="the same for close-ups")
    parser.add_argument("--test", type=int, default=4000, help="scenes to measure on")
    parser.add_argument("--native-test", type=int, default=480, help="scenes of native size to measure on")
    parser.add_argument("--composites", type=int, default=768, help="composites, and close-ups, to measure on")
    parser.add_argument("--photos", type=Path, nargs="*", default=[], help="folders of photographs without works")
    parser.add_argument("--teacher", type=Path, nargs="*", default=[], help="files that convert_teacher.py wrote")
    parser.add_argument("--tuned", type=Path, nargs="*", default=[], help="files that --keep-teachers wrote before")
    parser.add_argument("--from", dest="start", type=Path, metavar="FOLDER", help="checkpoint to go on from")
    parser.add_argument("--teacher-s", type=float, default=130.0, help="seconds in which a teacher learns the task")
    parser.add_argument("--answer-loss", type=float, default=3.0, help="weight of the teacher's answers; labels have 1")
    parser.add_argument("--keep-teachers", type=Path, metavar="FOLDER", help="where to write the tuned teachers")
    parser.add_argument("--device", default="cuda", help="torch device")
    parser.add_argument("--threads", type=int, help="CPU threads of torch")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and batches")
    parser.add_argument("--smoke", action="store_true", help="run everything with tiny settings")
    return parser.parse_args()


def main() -> None:
    """Train, measure, write."""
    import torch

    from streetvision.training.ranks import joined

    arguments = parse()
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    with joined(arguments.device) as ranks:
        if arguments.only != "measure":
            train(arguments, ranks)
    if arguments.only != "train" and ranks.first:
        measure(arguments)


def train(arguments: argparse.Namespace, ranks: Ranks) -> None:
    """Train and write the checkpoint."""
    import torch

    from streetvision.training.bundle import bundled_config, train_bundle
    from streetvision.training.bundled_settings import TrainSettings, scaled_down
    from streetvision.training.teacher import keep
    from streetvision.training.train import Material

    settings = TrainSettings(
        budget_s=arguments.budget_s,
        teacher_s=arguments.teacher_s,
        batch=arguments.batch,
        learning_rate=arguments.learning_rate,
        muon=not arguments.adamw,
        workers=arguments.workers,
        sprites=arguments.sprites,
        close_sprites=arguments.close_sprites,
        answer_loss=arguments.answer_loss,
        seed=arguments.seed,
        max_steps=arguments.max_steps,
    )
    if arguments.start is not None or arguments.size <= (settings.coarse_size or 0):
        settings = replace(settings, coarse_size=None)
    if arguments.smoke:
        settings = scaled_down(settings)
    material = Material(tuple(arguments.photos), tuple(arguments.teacher), tuple(arguments.tuned), arguments.start)
    device = torch.device(arguments.device)
    if ranks.count > 1 and device.type == "cuda":
        device = torch.device("cuda", torch.cuda.current_device())
    outcome = train_bundle(
        arguments.out,
        bundled_config(arguments.depth, arguments.width, arguments.size),
        settings,
        device,
        material=material,
        log=_say,
        ranks=ranks,
    )
    for teacher in outcome.teachers if arguments.keep_teachers is not None and ranks.first else ():
        arguments.keep_teachers.mkdir(parents=True, exist_ok=True)
        keep(teacher, arguments.keep_teachers / f"{teacher.name}.safetensors")


def measure(arguments: argparse.Namespace) -> None:
    """Calibrate and measure the checkpoint."""
    import torch

    from streetvision.training.bundle import MeasureSettings, measure_bundle

    test, native = arguments.test, arguments.native_test
    settings = MeasureSettings(test * 3 // 8, test, native // 4, native, arguments.composites, arguments.workers)
    if arguments.smoke:
        settings = MeasureSettings(12, 12, 2, 2, 64, 1)
    figures = measure_bundle(arguments.out, settings, torch.device(arguments.device), photos=arguments.photos, log=_say)
    if arguments.metrics is not None:
        arguments.metrics.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
