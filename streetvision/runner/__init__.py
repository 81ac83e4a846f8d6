"""Everything that knows torch and CUDA at serving time.

torch_runner.py is the engine's `Runner`. choose_cuda.py and choose_cpu.py pick how a model is computed; kernels are
called in cuda_forward.py and cpu_forward.py.
"""
