"""Observes, remembers and judges: history, rules, diagnosis."""
