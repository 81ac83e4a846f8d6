"""Batches too large for one call, in several. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streetvision.engine.transport import RemoteAnswer, RemoteBatch

MOST_BYTES = 1_900_000
"""Of the pictures of a call: above 2 MiB a call takes a detour over a bucket at Modal. 12 pictures of 224 pixels."""


def split(batch: RemoteBatch, most_bytes: int = MOST_BYTES) -> list[RemoteBatch]:
    """Parts in the order of the batch, each with as many pictures as a call carries and at least one."""
    size = max(1, most_bytes // max(1, batch.images[0].nbytes))
    return [
        RemoteBatch(
            batch.model,
            batch.images[at : at + size],
            batch.seconds[at : at + size],
            batch.priorities[at : at + size],
            batch.keys[at : at + size],
        )
        for at in range(0, len(batch), size)
    ]


def joined(batch: RemoteBatch, parts: Sequence[RemoteBatch], answers: Sequence[RemoteAnswer]) -> RemoteAnswer:
    """The answer to the batch. Where a part was answered by another model, that one is told."""
    if len(answers) == 1:
        return answers[0]
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])]).tolist()
    return RemoteAnswer(
        model=next((answer.model for answer in answers if answer.model != batch.model), batch.model),
        logits=np.concatenate([answer.logits for answer in answers]),
        embeddings=np.concatenate([answer.embeddings for answer in answers]),
        inference=max(answer.inference for answer in answers),
        waited=max(answer.waited for answer in answers),
        replica=", ".join(dict.fromkeys(answer.replica for answer in answers if answer.replica)),
        refused=tuple(start + row for start, answer in zip(starts, answers, strict=True) for row in answer.refused),
    )
