# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "6"
#     modes: [technique, practice]
#     readers: whoever must know who asks, and how much they may
#     run_s: 10
#     quick_s: 2
#     basis:
#       measured: checks of credentials on this machine
#       simulated: revocations and quotas before drawn requests, by the code that a gateway runs
#     claims: [thirty-b-slower]
# ---

# %% [markdown]
# # What does it cost to know who asks?
#
# Each request is checked: a key or a signed token, its scopes, its quota. Is that slow? If verdicts are remembered, how
# long does a revoked key still work? And what does a quota for each user change?

# %% tags=["parameters"]
looks: int = 500  # timings of each kind of check
rate_per_s: float = 0.5  # how often the revoked key is used
seeds: int = 100
quick: bool = False  # fewer of everything

# %%
from workbench.chapters import ch06, ch06_checks
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch06")

# %% [markdown]
# ## The cost of a check

# %%
checks = ch06_checks.checks(looks, quick)
ch06_checks.check_chart(checks)

# %%
ch06_checks.check_table(checks)

# %% [markdown]
# ## A revocation that comes late

# %%
delayed = ch06.late(rate_per_s, seeds, quick)
ch06.late_chart(delayed)

# %% [markdown]
# ## A quota for each user

# %%
shared = ch06.shares(seeds, quick)
ch06.share_chart(shared)

# %% [markdown]
# ## The book's figures
#
# It is said here because requests to larger models are worth counting for each user.

# %%
claim_table("ch06")

# %% [markdown]
# ## Change this and see
#
# Make `rate_per_s` large: memory saves nearly every look even when it is short, so keep it short. Make it small: a key
# that is seldom used is seldom let in late.
#
# ## What this does not show
#
# The round trip to keys that are elsewhere, which is what remembering saves: add your network's. A signed token cannot
# be revoked before it ends, whatever is remembered.

# %%
ch06.numbers(checks, delayed, shared)

# %%
ch06.answer(checks, delayed, shared)
