"""Triton kernels, one file each with its plain-PyTorch oracle beside it. Imports nothing from streetvision."""

import os

# Products and sums are fused, as the kernels were tuned and tested. Where nothing is said, Triton 3.9 warns and 3.10 no
# longer fuses. Read at each compilation.
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
