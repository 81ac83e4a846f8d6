"""Judging a model: figures, the subnet's reward, comparison of two, calibration and the report."""
