"""The miner's models as one part of it: on how many threads it decodes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, NoReturn

import pytest
from prometheus_client import CollectorRegistry

from streetvision.errors import OperatorError
from streetvision.miner.model_choice import choose_model
from streetvision.miner.models import ModelRoom
from streetvision.settings.model import ModelSettings
from streetvision.settings.network import SubtensorSettings
from streetvision.settings.settings import Settings


def decoding() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("decode-")}


@pytest.mark.parametrize(("paid_for", "expected"), [(1, 1), (2, 2), (64, 2)])
async def test_no_more_pictures_are_decoded_at_once_than_a_quota_pays_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paid_for: int, expected: int
) -> None:
    before, seen = decoding(), set[threading.Thread]()

    def opened(*_: Any, **__: Any) -> NoReturn:
        seen.update(decoding() - before)
        raise OperatorError("this is enough")

    monkeypatch.setattr("streetvision.miner.models.usable_threads", lambda: paid_for)
    monkeypatch.setattr("streetvision.miner.models.open_runner", opened)
    settings = Settings(
        model=ModelSettings(choice="bundled"), state_dir=tmp_path, subtensor=SubtensorSettings(network="mock")
    )
    with pytest.raises(OperatorError, match="this is enough"):
        await ModelRoom(settings, choose_model(settings), CollectorRegistry()).start()
    assert len(seen) == expected
