# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "12"
#     modes: [concept, technique, practice]
#     readers: whoever promises different things to different customers of one fleet
#     run_s: 30
#     quick_s: 5
#     basis:
#       simulated: a small fleet on a shipped profile of an H100, four tenants of three tiers, two bursts
# ---

# %% [markdown]
# # In which order should waiting requests be released?
#
# A fleet is overloaded for a while. The order of release decides who waits. First come, first served; strict
# priority; weighted fair queueing; earliest deadline first; the virtual token counter: the same arrivals under each.

# %% tags=["parameters"]
orders: str = "fifo,priority,wfq,edf,vtc"  # the first is the baseline
replications: int = 10  # seeds
window: int = 32  # requests that one replica may hold: what it holds, no order can change
replicas: int = 2  # of the fleet
quick: bool = False  # fewer orders and seeds

# %%
from workbench.chapters import ch12
from workbench.chapters.about import about

about("ch12")

# %%
found = ch12.experiment(orders, replications, window, replicas, quick)
ch12.latency_chart(found)

# %% [markdown]
# ## Who was served while everybody waited

# %%
ch12.share_chart(found)

# %% [markdown]
# ## Which, and how sure

# %%
ch12.difference_table(found)

# %% [markdown]
# ## Change this and see
#
# Set `window` to one: the order decides everything, but batches are so small that nearly every promise is broken. Set it
# to a hundred: the order hardly matters, because the engine holds everything. With many `replicas` nobody waits for long,
# and every order keeps Enterprise's promise.
#
# ## What this does not show
#
# The order inside a replica is the engine's own. Tiers here do not react: a customer who waits too long stays.

# %%
ch12.numbers(found)

# %%
ch12.answer(found)
