"""What SigLIP adds to the kernels, under Triton's interpreter, against oracles in float64; tests/gpu runs it too."""

from __future__ import annotations

from collections import Counter

from .case_rows import interpreted_rows

# Rounding to float16 keeps 11 bits (2e-4 as a norm); the interpreter cuts off instead of rounding, and shares, pooled
# tokens and values are rounded one after the other.
BOUNDS = {"float32": 3e-6, "float16": 1.5e-3}


def test_every_interpreted_kernel_matches_its_float64_oracle() -> None:
    cases = {row["case"]: row["error"] for row in interpreted_rows("siglip_cases")}
    wrong = {case: error for case, error in cases.items() if not error <= BOUNDS[case.split("-")[1]]}
    assert wrong == {}
    assert Counter(case.split("-")[0] for case in cases) == {
        "attention": 8,
        "pool": 8,
        "positions": 1,
        "head": 4,
        "unit": 4,
    }
