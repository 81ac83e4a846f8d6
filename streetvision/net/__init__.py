"""Guarded HTTP, sockets and JSON lines: what listens, apart from who may ask. Imports nothing of the rooms above."""
