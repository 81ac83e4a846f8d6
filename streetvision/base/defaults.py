"""Defaults of the engine's settings: the engine must not know the settings, so both take them from here."""

from __future__ import annotations

MIB = 1 << 20
MAX_BODY_MIB = 48
"""Largest body, and so largest file of a photo."""
MAX_MEGAPIXELS = 70
DECODE_MEMORY_MIB = 512
VIEW_SECONDS = 1.0
"""Longest wait for further views, once there is a first answer."""
