from __future__ import annotations

import itertools

import torch

from streetvision.training.step_times import HostMoment, StepTimes


def test_parts_are_told_by_their_mean_since_the_last_report() -> None:
    ticks = itertools.accumulate([0.0, 0.010, 0.030, 0.010, 0.050, 0.020, 0.040])
    times = StepTimes(torch.device("cpu"), lambda: HostMoment(lambda: next(ticks)))
    for part in ("update", "batch", "backward", "batch", "backward"):
        times.end(part)
    assert times.report(2) == "batch 10.0, backward 40.0"
    for part in ("batch", "backward"):
        times.end(part)
    assert times.report(1) == "batch 20.0, backward 40.0"
