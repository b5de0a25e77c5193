# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "C"
#     modes: [technique, practice]
#     readers: whoever has a run log and a complaint
#     run_s: 20
#     quick_s: 2
#     basis:
#       simulated: one engine's batching, and shipped scenarios of the control plane, on a shipped profile of an H100
# ---

# %% [markdown]
# # What is wrong, and where does one see it?
#
# Nine complaints: five of an engine, four of a fleet. Each is made here on purpose, seen in the run log, and mended.

# %% tags=["parameters"]
troubles: str = "queue,batch,stall,memory,cache,neighbour,dead,network,storm"
seeds: int = 5
quick: bool = False  # six of them, two seeds

# %%
from workbench.chapters import app_c
from workbench.chapters.about import about

about("app_c")

# %%
found = app_c.experiment(troubles, seeds, quick)
app_c.guide(found)

# %%
app_c.picture(found)

# %%
app_c.proof(found)

# %% [markdown]
# ## Change this and see
#
# Name one trouble in `troubles`, run it, and open the run log that `workbench sim run` writes for the scenario or the
# rules in the table: the columns named there are in it.
#
# ## What this does not show
#
# A client that is itself the limit says so in its log (client_limited); why one request was refused is told by
# `workbench journal explain`; incidents over time, and who is called, have a chapter of their own. No drivers, no
# containers: what keeps an engine from starting is what `workbench doctor` looks for.

# %%
app_c.numbers(found)

# %%
app_c.answer(found)
