# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "H"
#     modes: [concept, practice]
#     readers: whoever puts a model where there is no server
#     run_s: 10
#     quick_s: 2
#     basis:
#       roofline: what fits and how fast it writes, from datasheets
#       measured: the shipped tiny model at few bits
#       simulated: updates of devices that come and go, and requests without a line
#     claims: [edge-bits]
# ---

# %% [markdown]
# # What works at the edge, and what does not?
#
# Memory decides what fits, bandwidth how fast it writes, and the line how long two versions live side by side. What is
# answered when there is none?

# %% tags=["parameters"]
quant: str = "Q4_K_M"  # F16, Q8_0, Q4_K_M or Q2_K, in the table
online_min: float = 1.5  # mean minutes that a phone may download at a time
offline_min: float = 120.0  # mean minutes between
seeds: int = 10
seed: int = 11
quick: bool = False  # fewer devices and requests

# %%
from workbench.chapters import app_h
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("app_h")

# %% [markdown]
# ## What fits, and how fast

# %%
app_h.fit_table(quant)

# %%
app_h.ceiling_chart()

# %%
app_h.bits_chart()

# %% [markdown]
# ## A new version for everybody

# %%
synced = app_h.sync(online_min, offline_min, seed, quick)
app_h.sync_chart(synced)

# %% [markdown]
# ## Without a line

# %%
found = app_h.offline(seeds, quick)
app_h.offline_chart(found)

# %% [markdown]
# ## The book's figures

# %%
claim_table("app_h")

# %% [markdown]
# ## Change this and see
#
# Make `online_min` long: even downloads that begin again arrive. Make it short: only small ones do.
#
# ## What this does not show
#
# Heat and batteries: a phone that is warm computes slower. Prefill on small devices is bound by arithmetic, and a long
# prompt waits for it. Answers of a small model are not those of the cloud's.

# %%
app_h.numbers(synced, found)

# %%
app_h.answer(synced, found)
