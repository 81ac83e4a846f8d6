"""Variations of labelled pictures: the same street by night, in rain, with other works or without; made and checked."""
