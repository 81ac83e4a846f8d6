"""Observes, remembers and judges.

history.py remembers, observation.py gathers one moment, rules/ judge it (pure), diagnosis.py explains.
"""
