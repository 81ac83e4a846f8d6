"""The status page with 90 days of history: its size, and how long it takes from what is in memory to the last byte.

python benchmarks/page.py [--days 90] [--images 16] [--runs 30]

The log holds `--images` uncertain photos of 4032x3024 (worst case) and as many crops of 224x224; "first" decodes them,
"later" has them. A status snapshot for the terminal is measured beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import harness
import numpy as np
from PIL import Image
from prometheus_client import CollectorRegistry
from simulation.world import World

from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.engine.types import Prediction, Timings
from streetvision.monitor.observation import Observation
from streetvision.monitor.rule_pass import rule_pass
from streetvision.page.page import PAGE_SPAN, render_page
from streetvision.page.pictures import Gallery, Picture
from streetvision.prediction_log.schema import LOG_FOLDER
from streetvision.prediction_log.store import PredictionLog
from streetvision.prediction_log.upkeep import Limits
from streetvision.status.samples import MOST, Samples
from streetvision.status.schema import Span, Status
from streetvision.status.snapshot import Facts, status_of

GOAL_BYTES, GOAL_MS = 300_000, 200.0


def record(arrival: float, hotkey: str, probability: float, image: bytes | None = None) -> RequestRecord:
    timings = Timings(0.02, 0.01, 0.1)
    answer = Prediction(probability, 0.0, np.zeros(384, np.float32), "1.4.0", 4, 2, 4032, 3024, timings)
    stages = StageTimings(0.0002, 0.001, 0.13, 0.0001)
    return RequestRecord(
        Dialect.LEGACY, hotkey, 1, 9e4, True, 200, "ok", image, answer, arrival, 8.3, stages, "198.51.100.9"
    )


def photo(rng: np.random.Generator, width: int, height: int) -> bytes:
    """A JPEG with structure and noise: what a camera makes, not what compresses best."""
    coarse = Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)).resize((width, height))
    noisy = np.asarray(coarse, np.int16) + rng.integers(-12, 12, (height, width, 3), dtype=np.int16)
    buffer = BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write_log(folder: Path, now: float, images: int) -> None:
    rng = np.random.default_rng(1)
    log = PredictionLog(folder, CollectorRegistry(), limits=Limits())
    log.start()
    for i in range(2 * images):
        size = (4032, 3024) if i % 2 else (224, 224)
        log(record(now - 60.0 * i, "validator-1", 0.5 + 0.001 * i, photo(rng, *size)))
        time.sleep(0.02)  # the log takes samples from whoever floods it
    log.close(30.0)


def filled(seen: Observation) -> Samples:
    """As many remembered requests as there can be, spread over a day."""
    samples, rng = Samples(), np.random.default_rng(2)
    for i in range(MOST):
        moment = seen.now - 86_400 * (1 - i / MOST)
        samples(record(moment, f"validator-{1 + i % 7}", float(rng.random())))
    return samples


def rows(days: float, images: int, runs: int) -> list[harness.Row]:
    world = World(7).run(days - 2.5).run(2.5, blocks=5)
    world.downsample()
    seen = world.observe()
    passed = rule_pass(seen)
    facts, samples = Facts("0.1.0", 72, "finney", pid=1, started=seen.now - 1e5), filled(seen).newest()

    def snapshot(span: Span) -> Status:
        return status_of(facts, seen, passed, samples, span)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / LOG_FOLDER
        write_log(folder, seen.now, images)
        everything = Gallery(folder)
        pictures: list[Picture] = everything.pictures(seen.now, most=images, budget_s=None)
        status = snapshot(PAGE_SPAN)

        def page(gallery: Gallery) -> str:
            return render_page(snapshot(PAGE_SPAN), gallery.pictures(seen.now, most=images))

        measured = {
            "snapshot for the terminal": harness.median_ms(lambda: snapshot(Span()), runs),
            "snapshot for the page": harness.median_ms(lambda: snapshot(PAGE_SPAN), runs),
            "drawing the page": harness.median_ms(lambda: render_page(status, pictures), runs),
            "whole page, pictures decoded already": harness.median_ms(lambda: page(everything), runs),
            "whole page, first, no picture decoded yet": harness.median_ms(lambda: page(Gallery(folder)), 5),
        }
    size = len(render_page(status, pictures).encode())
    facts_of: harness.Row = {"days": days, "points": len(seen.points), "pictures": len(pictures), "page_bytes": size}
    return [{"what": what, "ms": ms, **facts_of} for what, ms in measured.items()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--days", type=float, default=90.0)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    found = rows(options.days, options.images, options.runs)
    harness.report("page", "The status page", found, harness.machine())
    too_slow = any(float(row["ms"] or 0) > GOAL_MS for row in found)
    return 1 if too_slow or int(found[0]["page_bytes"] or 0) > GOAL_BYTES else 0


if __name__ == "__main__":
    sys.exit(main())
