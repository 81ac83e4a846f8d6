from __future__ import annotations

from typing import Any


async def test_a_signed_request_is_answered(axon: Any) -> None:
    reply = await axon.ask()
    assert reply.status == 200
    assert reply.json == {"prediction": 0.75}
    assert reply.headers["bt_header_axon_status_code"] == "200"
    assert float(reply.headers["bt_header_axon_process_time"]) > 0
    assert axon.predictor.images == [b"image"]
    assert axon.predictor.priorities == [1000.0]
    assert axon.counted(200, "ok") == 1
