"""A pull as the tests make it."""

from __future__ import annotations

from typing import Any

import pytest

from streetvision.errors import OperatorError
from streetvision.hub.client import Hub
from streetvision.hub.pull import pull
from streetvision.registry.registry import Registry

REPO = "miner/roadwork"
Files = dict[str, bytes]


def pulled(registry: Registry, hub: Hub, revision: str | None = "v1.0.0", **options: Any) -> Any:
    return pull(REPO, revision, registry, hub=hub, now=lambda: 1_790_000_100.0, **options)


def left(registry: Registry) -> list[str]:
    """What pulls have left behind, their locks aside."""
    found = (registry.folder / "pulls").rglob("*")
    return sorted(path.name for path in found if path.is_file() and path.name != ".lock")


def refused(registry: Registry, hub: Hub, says: str, **options: Any) -> None:
    with pytest.raises(OperatorError, match=says) as caught:
        pulled(registry, hub, **options)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(registry.versions()) == 1
