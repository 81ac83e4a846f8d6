"""What settings and the rooms of a GPU box both need: those must not know the settings, so it is said here, once."""

from __future__ import annotations

MIB = 1 << 20
PRECISIONS = ("default", "auto", "bf16", "fp8", "int8")
"""What a model may be asked to compute in; the first unless a setting names another."""
RUNNERS = ("auto", "max", "openvino", "torch")
"""What may run a model; the first unless a setting names another."""
MAX_BODY_MIB = 48
"""Largest body, and so largest file of a photo."""
MAX_MEGAPIXELS = 70
DECODE_MEMORY_MIB = 512
VIEW_SECONDS = 1.0
"""Longest wait for further views, once there is a first answer."""
