"""Serve's request router: the replica that is warm and done first. Serve imports it by its path; nothing else does."""

from __future__ import annotations

from collections.abc import Sequence

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from streetvision.cluster.ranking import tiers


class EarliestFinish(RequestRouter):
    """Ranks replicas by what they report; Serve takes of the first rank whose queue has room."""

    async def choose_replicas(
        self, candidate_replicas: Sequence[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The tiers of `ranking.tiers`."""
        version = pending_request.metadata.multiplexed_model_id if pending_request is not None else ""
        reports = [replica.routing_stats for replica in candidate_replicas]
        return [[candidate_replicas[place] for place in tier] for tier in tiers(reports, version)]
