"""Drawn street scenes and the validators' augmentations."""
