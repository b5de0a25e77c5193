# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "G"
#     modes: [concept, technique]
#     readers: whoever wonders whether a TPU would be cheaper
#     run_s: 15
#     quick_s: 4
#     basis:
#       roofline: profiles of TPUs, for nobody measured one here
#       simulated: replicas on these profiles and on those of an H100
#       vendor: datasheets and price lists
#     claims: [tpu-cheaper, tpu-v4-8-seventy-b, tpu-throughput, tpu-break-even, tpu-spot, tpu-checkpointing,
#       tpu-pytorch]
# ---

# %% [markdown]
# # Is a TPU cheaper than a GPU?
#
# Chips are not alike, so prices of chips say little. What does a token cost inside the same promise? And what changes
# where every shape must be compiled, and machines are taken away?

# %% tags=["parameters"]
rate_rps: float = 1.0  # requests per second to a replica that was just started
seeds: int = 3
quick: bool = False  # fewer seeds, shorter runs

# %%
from workbench.chapters import app_g
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("app_g")

# %% [markdown]
# ## Price against price

# %%
app_g.price_table()

# %%
found = app_g.speeds(seeds, quick)
app_g.price_chart(found)

# %% [markdown]
# ## Compiled shapes

# %%
waste = app_g.padding()
app_g.padding_chart(waste)

# %%
app_g.cold_chart(app_g.cold(rate_rps, quick))

# %% [markdown]
# ## Taken away

# %%
played = app_g.preempted(seeds, quick)
app_g.preempted_chart(played)

# %% [markdown]
# ## The book's figures

# %%
claim_table("app_g")

# %% [markdown]
# ## Change this and see
#
# Raise `rate_rps`: more shapes are met sooner, and the line behind each compilation is longer.
#
# ## What this does not show
#
# A TPU: rooflines are datasheet peaks times assumed fractions. Compile before you serve, keep the cache on a disk that
# outlives the machine, and measure. vLLM on TPU runs PyTorch definitions: no model need be rewritten for it.

# %%
app_g.numbers(found, waste, played)

# %%
app_g.answer(found, waste)
