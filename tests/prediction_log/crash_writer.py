"""Writes a prediction log until it is killed. Reads one JSON plan per line and answers with a pid, then `ended`.

A plan is {"folder", "journal", "max_bytes", "tick_s"} and, for less load, {"burst", "rest_s"}. Each round runs in a
fork, so that it need not import anything.
The journal gets one line for every request handed to the hook: its number and the moment, by time.monotonic().
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from streetvision.axon.records import RequestRecord, StageTimings
from streetvision.axon.wire import Dialect
from streetvision.engine.types import Prediction, Timings
from streetvision.prediction_log import store
from streetvision.prediction_log.upkeep import Limits


def record(number: int, image: bytes, rng: random.Random) -> RequestRecord:
    answer = Prediction(rng.random(), 0.0, np.zeros(64, np.float32), "1", 1, 1, 8, 8, Timings(0.0, 0.0, 0.0))
    stages = StageTimings(0.0, 0.0, 0.0, 0.0)
    return RequestRecord(
        Dialect.LEGACY, "5Alice", number, 1.0, True, 200, "ok", image, answer, time.time(), 1.0, stages, ""
    )  # fmt: skip


def write(plan: dict[str, Any]) -> None:
    """Until the end: bursts of requests, some with an image seen before, and more bytes than the budget holds."""
    rng = random.Random(os.getpid())
    store.TICK_S = store.QUICK_TICK_S = plan["tick_s"]
    limits = Limits(max_bytes=plan["max_bytes"])
    log = store.PredictionLog(Path(plan["folder"]), CollectorRegistry(), limits=limits)
    log.start()
    journal = os.open(plan["journal"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    pool = [rng.randbytes(rng.randrange(1, 20_000)) for _ in range(20)]
    number = 0
    while True:
        for _ in range(rng.randrange(1, plan.get("burst", 40))):
            image = rng.choice(pool) if rng.random() < 0.3 else rng.randbytes(rng.randrange(1, 20_000))
            log(record(number, image, rng))
            os.write(journal, b"%d %f\n" % (number, time.monotonic()))
            number += 1
        time.sleep(rng.random() * plan.get("rest_s", 0.02))


for line in sys.stdin:
    child = os.fork()
    if child == 0:
        write(json.loads(line))
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
