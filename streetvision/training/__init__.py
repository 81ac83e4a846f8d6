"""Procedural scenes, the validators' augmentations and the training of the bundled checkpoint."""
