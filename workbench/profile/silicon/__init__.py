"""Profiles of GPUs that nobody here owns, from NVIDIA's database of measured kernels (extra `[silicon]`)."""
