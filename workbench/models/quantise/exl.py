"""EXL2 and EXL3: ExLlama's formats. Its quantiser and its kernels are CUDA; there is no CPU way."""

from workbench.models.quantise.method import Method

_NEEDS = ("an NVIDIA GPU: ExLlama quantises and serves with CUDA kernels only; on such a machine "
          "exllamav{version}'s convert.py makes it. Not tried here")
EXL2 = Method(name="exl2", title="EXL2 (exllamav2)", form="exl", bits=4, reads=(), needs_gpu=_NEEDS.format(version=2))
EXL3 = Method(name="exl3", title="EXL3 (exllamav3)", form="exl", bits=4, reads=(), needs_gpu=_NEEDS.format(version=3))
