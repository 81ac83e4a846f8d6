"""Triton kernels, one file each with its plain-PyTorch oracle beside it. Imports nothing from streetvision."""
