"""Everything that knows torch and CUDA at serving time."""
