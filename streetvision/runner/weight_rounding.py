"""Weights in int8 so that a product's answers move little on rows it has seen: GPTQ (Frantar et al., 2023). Pure.

Columns are rounded one after the other, those that the rows use most first; what rounding one adds to the answers is
taken out again by the columns still to come. It costs time once and none in service.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST = 127
DAMPING = 0.01
"""Of the mean square of a column, added to each: rows may be fewer than columns, or leave some empty."""
BLOCK = 128
"""Columns after which the later ones are told: one product for many."""
EMPTY = 1e-12


def round_weights(weight: NDArray[np.float32], rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """Weights [N, K] for rows [R, K] -> multiples of a step of each output [N, K], and 127 such steps [N, 1].

    Raises numpy.linalg.LinAlgError where the rows are not finite.
    """
    most = np.maximum(np.abs(weight).max(axis=1, keepdims=True), EMPTY)
    step = most.astype(np.float64) / MOST
    order, spread = _spread(rows)
    left = weight[:, order].astype(np.float64)
    for start in range(0, left.shape[1], BLOCK):
        end = min(start + BLOCK, left.shape[1])
        errors = np.empty((len(left), end - start))
        for column in range(start, end):
            nearest = np.clip(np.round(left[:, column : column + 1] / step), -MOST, MOST) * step
            errors[:, column - start] = (left[:, column] - nearest[:, 0]) / spread[column, column]
            left[:, column] = nearest[:, 0]
            left[:, column + 1 : end] -= np.outer(errors[:, column - start], spread[column, column + 1 : end])
        left[:, end:] -= errors @ spread[start:end, end:]
    made = np.empty_like(weight)
    made[:, order] = left
    return made, most.astype(np.float32)


def _spread(rows: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The order of columns, and in it the upper Cholesky factor [K, K] of the inverse of the rows' second moments."""
    moments = (rows.T @ rows).astype(np.float64)
    mean = float(np.trace(moments)) / len(moments)
    moments[np.diag_indices_from(moments)] += max(DAMPING * mean, EMPTY)
    order = np.argsort(-np.diag(moments), kind="stable")
    return order, np.linalg.cholesky(np.linalg.inv(moments[np.ix_(order, order)])).T
