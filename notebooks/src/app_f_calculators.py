# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "F"
#     modes: [practice]
#     readers: whoever needs a figure before the meeting
#     run_s: 8
#     quick_s: 1
#     basis:
#       derived: plain formulas, each with its source
# ---

# %% [markdown]
# # What does a formula say, before anything is simulated?
#
# Ten calculators. Each is a plain function, declared once, the same here, on the command line and on a page without
# Python.

# %% tags=["parameters"]
calculator: str = "own_or_rent"  # one of the table's
over: str = ""  # the input that is varied; empty: its first
live: bool = False  # sliders, in JupyterLab
quick: bool = False  # fewer points

# %%
from workbench.chapters import app_f
from workbench.chapters.about import about

about("app_f")

# %%
app_f.overview()

# %% [markdown]
# ## One of them

# %%
item = app_f.pick(calculator)
app_f.inputs_table(item)

# %%
app_f.curve(item, over, quick)

# %%
app_f.live(item, live)

# %% [markdown]
# ## Change this and see
#
# Name another `calculator`, or another of its inputs in `over`. In JupyterLab set `live` and pull.
#
# ## What this does not show
#
# Queues. A calculator divides a peak by a guessed utilisation; `workbench cost` and `workbench plan` simulate the load
# against the promise instead, and print both.

# %%
app_f.numbers()

# %%
app_f.answer(item)
