# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "5.5"
#     modes: [concept, practice]
#     readers: whoever thinks of letting users' own devices compute
#     run_s: 40
#     quick_s: 3
#     basis:
#       simulated: the shipped hybrid scenario, and fleets on a shipped profile of an H100
#       roofline: speeds of devices
#     claims: [browser-savings, browser-latency, browser-seven-b, browser-bits]
# ---

# %% [markdown]
# # When should a browser compute instead of a server?
#
# A user's device costs the provider nothing and keeps what is private. It is slow, its first visit downloads gigabytes,
# its battery ends, and the servers that it relieves are bought whole.

# %% tags=["parameters"]
rate_rps: float = 150.0  # requests per second of the service, for the cost
seeds: int = 3
quick: bool = False  # fewer seeds and shares, shorter runs

# %%
from workbench.chapters import ch05_5
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch05_5")

# %% [markdown]
# ## What runs where

# %%
ch05_5.speed_chart()

# %%
ch05_5.fit_table()

# %% [markdown]
# ## Who computes, under load

# %%
played = ch05_5.routed(seeds, quick)
ch05_5.routed_chart(played)

# %%
ch05_5.battery_chart()

# %% [markdown]
# ## What it saves

# %%
saved = ch05_5.saving(rate_rps, seeds, quick)
ch05_5.saving_chart(saved)

# %% [markdown]
# ## The book's figures

# %%
claim_table("ch05_5")

# %% [markdown]
# ## Change this and see
#
# Make `rate_rps` small: with one GPU nothing is saved, whatever share the browsers take.
#
# ## What this does not show
#
# Whether the small model's answers are good enough: nobody has measured these files here. Speeds of devices are upper
# bounds; a page that is in the background computes nothing.

# %%
ch05_5.numbers(played, saved)

# %%
ch05_5.answer(played, saved)
