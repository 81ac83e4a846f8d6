"""A runner whose passes take `a` seconds an image and `b` besides, as cost models know it."""

from __future__ import annotations

from streetvision.engine.cost import CostModel

BUCKETS = (1, 2, 4, 8, 16)


def seconds(n: int, a: float = 0.010, b: float = 0.020) -> float:
    return a * n + b


def seeded(a: float = 0.010, b: float = 0.020, buckets: tuple[int, ...] = BUCKETS) -> CostModel:
    cost = CostModel(buckets)
    for size in buckets:
        cost.seed(size, seconds(size, a, b))
    return cost
