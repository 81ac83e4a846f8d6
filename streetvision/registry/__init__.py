"""Versions of models on disk: list, import, the active one."""
