"""Labelled pictures with their provenance: where they come from, and the datasets that training and judging read."""
