# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "7"
#     modes: [concept, technique, practice]
#     readers: whoever sets limits for users of one endpoint
#     run_s: 4
#     quick_s: 1
#     basis:
#       simulated: the limiters that a gateway would run, before drawn arrivals
# ---

# %% [markdown]
# # What does each rate limit really let through?
#
# A limit is one number and an algorithm. The same burst before four of them; then a limit on tokens, whose number is
# known only when the answer is finished.

# %% tags=["parameters"]
amount: int = 200  # requests
per_s: float = 60.0  # seconds of the window
pressure: float = 0.6  # what arrives all the time, as a share of the limit
limit_tok: int = 1000  # tokens a minute, in the second experiment
seed: int = 7  # of the first burst
bursts: int = 20
quick: bool = False  # smaller bursts, two of them

# %%
from workbench.chapters import ch07
from workbench.chapters.about import about

about("ch07")

# %%
found = ch07.experiment(amount, per_s, pressure, seed, bursts, quick)
ch07.burst_chart(found)

# %%
ch07.worst_table(found)

# %% [markdown]
# ## When tokens are counted afterwards
#
# Everybody who asks before the first answer is finished finds the bucket full. Reserving the most that an answer can
# use, and giving back the rest, closes the hole.

# %%
ch07.overshoot_chart(limit_tok)

# %% [markdown]
# ## Change this and see
#
# Make `pressure` larger than one: the algorithms let through nearly the same number, and still differ in when. Make
# `per_s` a day: the edge hardly matters, which is why quotas may be fixed windows.
#
# ## What this does not show
#
# Several gateways share a limit through Redis; the twins of these policies there give the same answers on whole
# microseconds, at the price of a round trip. Clients that come again at once are in the chapter on queues.

# %%
ch07.numbers(found, limit_tok)

# %%
ch07.answer(found, limit_tok)
