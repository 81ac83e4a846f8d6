"""The tests' own hub, as the hub's tests use it."""

from ..hub.conftest import _own_hub_settings, environment, hub, naps, server

__all__ = ["_own_hub_settings", "environment", "hub", "naps", "server"]
