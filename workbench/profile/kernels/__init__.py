"""Iteration times from tables of single kernels, measured layer by layer (LLMServingSim's format).

    from workbench.profile.kernels.load import load
    profile = load(Path("perf/RTXPRO6000/meta-llama/Llama-3.1-8B/bf16"), Path("Llama-3.1-8B.json"), tp=1)
"""
