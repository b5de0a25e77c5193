# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "13"
#     modes: [concept, technique]
#     readers: whoever divides memory among requests and tenants
#     run_s: 10
#     quick_s: 1
#     basis:
#       simulated: the allocator that the control plane runs, before drawn requests
#     claims: [seventy-b-concurrent]
# ---

# %% [markdown]
# # How much memory may be promised twice?
#
# A request reserves what its answer might need and mostly uses less. Promise every token once, and memory lies idle;
# promise it three times, and answers are thrown out in the middle.

# %% tags=["parameters"]
rate_per_s: float = 7.0  # requests per second
needs_frac: float = 0.35  # what an answer needs on average, of the most it may
seeds: int = 8
quick: bool = False  # fewer seeds and factors

# %%
from workbench.chapters import ch13
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch13")

# %%
found = ch13.overcommit(rate_per_s, needs_frac, seeds, quick)
ch13.overcommit_chart(found)

# %% [markdown]
# ## A guarantee is what somebody else cannot take

# %%
ch13.guarantee_table(rate_per_s, needs_frac, quick)

# %% [markdown]
# ## The book's figures

# %%
claim_table("ch13")

# %% [markdown]
# ## Change this and see
#
# Set `needs_frac` near one: answers use what they reserved, and promising twice only throws work away.
#
# ## What this does not show
#
# How long an answer takes does not depend on its neighbours here. An engine that preempts computes the prompt again;
# what that costs in time is in the chapters on optimisation and scheduling.

# %%
ch13.numbers(found)

# %%
ch13.answer(found)
