"""Observes without a running miner: reads the history's file, a snapshot of now, and this machine."""

from __future__ import annotations

from pathlib import Path

from streetvision.chain.metagraph import MetagraphSnapshot
from streetvision.monitor.history import joined, read_history
from streetvision.monitor.machine import read_machine
from streetvision.monitor.observation import ModelView, Observation, Probe, ValidatorView
from streetvision.monitor.point import point_of
from streetvision.monitor.retraining import RetrainView
from streetvision.monitor.traffic import Traffic


def observe_offline(
    folder: Path,
    hotkey: str,
    netuid: int,
    now: float,
    snapshot: MetagraphSnapshot | None = None,
    *,
    clocked: bool = True,
    endpoint: str | None = None,
    probe: Probe | None = None,
    model: ModelView | None = None,
    retrain: RetrainView | None = None,
    register_command: str = Observation.register_command,
    synchronised: bool | None = None,
) -> Observation:
    """`folder` is `<state_dir>/monitor`; nobody listens for requests, so rules about silence keep silent.

    OperatorError when the history's file cannot be read.
    """
    points, buckets = read_history(folder, hotkey, netuid)
    behind = 0
    if snapshot is not None:
        now_seen = point_of(snapshot, hotkey, points[-1] if points else None, clocked=clocked)
        points = joined(points, (now_seen,), clocked=clocked)
        behind = points[-1].block - snapshot.block
    voters = [n for n in snapshot.neurons if n.validator_permit and n.stake > 0] if snapshot is not None else []
    return Observation(
        now=now,
        hotkey=hotkey,
        points=points,
        traffic=Traffic(buckets),
        validators=tuple(
            ValidatorView(n.uid, n.hotkey, n.stake, n.last_update, n.block_at_registration) for n in voters
        ),
        snapshot_age=None if snapshot is None else snapshot.age(now),
        blocks_behind=behind,
        synchronised=synchronised,
        endpoint=endpoint,
        probe=probe,
        model=model,
        retrain=retrain,
        machine=read_machine(folder),
        register_command=register_command,
    )
