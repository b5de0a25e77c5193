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
#     run_s: 30
#     quick_s: 4
#     basis:
#       simulated: one engine's batching on a shipped profile of an H100
# ---

# %% [markdown]
# # What is wrong, and where does one see it?
#
# Five complaints. Each is made here on purpose, seen in the run log, and mended.

# %% tags=["parameters"]
troubles: str = "queue,batch,stall,memory,cache"
seeds: int = 5
quick: bool = False  # two seeds

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
# Name one trouble in `troubles`, run it, and open the run log that `workbench sim run` writes for the same setting: the
# columns named in the table are there.
#
# ## What this does not show
#
# Troubles outside the engine: a client that is itself the limit says so in its log (client_limited), refusals and errors
# of the control plane are told by `workbench journal explain`, and incidents of a fleet have a chapter of their own.

# %%
app_c.numbers(found)

# %%
app_c.answer(found)
