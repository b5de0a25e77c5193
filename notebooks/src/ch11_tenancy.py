# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "11"
#     modes: [concept, technique]
#     readers: whoever puts several customers on one fleet
#     run_s: 15
#     quick_s: 2
#     basis:
#       simulated: one replica on a shipped profile of an H100, two tenants
#     claims: [seventy-b-token, seventy-b-speed]
# ---

# %% [markdown]
# # What does a noisy neighbour cost, and what protects the quiet one?
#
# Two tenants share a replica. One suddenly sends many times as much as before. A fair order, a limit on tokens,
# both, or neither.

# %% tags=["parameters"]
noisy_per_s: float = 40.0  # requests per second of the neighbour's burst
seeds: int = 5
quick: bool = False  # a shorter run, two seeds

# %%
from workbench.chapters import ch11
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch11")

# %%
found = ch11.experiment(noisy_per_s, seeds, quick)
ch11.wait_chart(found)

# %%
ch11.table(found)

# %% [markdown]
# ## While it happens, and afterwards

# %%
ch11.time_chart(found)

# %% [markdown]
# ## The book's figures

# %%
claim_table("ch11")

# %% [markdown]
# ## Change this and see
#
# Raise `noisy_per_s`: the fair order holds, because the quiet tenant's share does not depend on how loud the other is.
#
# ## What this does not show
#
# What a replica holds is no longer the order's to change: a larger window weakens every order. Isolation of data and
# of keys is another question than isolation of speed.

# %%
ch11.numbers(found)

# %%
ch11.answer(found)
