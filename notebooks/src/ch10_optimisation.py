# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "10"
#     modes: [concept, technique]
#     readers: whoever wants more from the same GPU
#     run_s: 15
#     quick_s: 4
#     basis:
#       simulated: one engine's batching on a shipped profile of an H100, one switch at a time
#       measured: what fewer bits of keys and values do to the shipped model (datasets/quality)
#       imported: llama.cpp's published figures of eight billion parameters in many formats
#     claims: [ggml-files, thirty-b-quantised, larger-batches, batching-gain, paging-gain, speculation-gain]
# ---

# %% [markdown]
# # What does each optimisation bring by itself?
#
# Continuous batching, paged KV, chunked prompts, speculation, fewer bits: named together, they are easily credited for
# one another. Here one is changed at a time, under the same arrivals.

# %% tags=["parameters"]
rate_per_s: float = 20.0  # requests per second
seeds: int = 5
quick: bool = False  # fewer requests, two seeds

# %%
from workbench.chapters import ch10, ch10_bits
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch10")

# %%
found = ch10.experiment(rate_per_s, seeds, quick)
ch10.ablation_chart(found)

# %%
ch10.ablation_table(found)

# %% [markdown]
# ## Speculation, alone and in company

# %%
speculated = ch10.speculation([1.0, 20.0], seeds, quick)
ch10.speculation_chart(speculated)

# %% [markdown]
# ## Fewer bits

# %%
ch10_bits.format_chart(ch10_bits.formats())

# %% [markdown]
# ## Fewer bits of keys and values

# %%
ch10_bits.kv_table(found)

# %% [markdown]
# ## The book's figures

# %%
claim_table("ch10")

# %% [markdown]
# ## Change this and see
#
# Lower `rate_per_s` until nobody waits: batching and paging no longer matter, chunking hardly, and fewer bits still do.
#
# ## What this does not show
#
# Kernels such as flash attention are inside the profile. The draft model of speculation costs nothing here. What fewer
# bits do to your task is measured by `workbench quality run`, not read off a divergence.

# %%
ch10.numbers(found, speculated)

# %%
ch10.answer(found, speculated)
