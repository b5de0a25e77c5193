# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "18"
#     modes: [concept, practice]
#     readers: whoever is called at night
#     run_s: 120
#     quick_s: 9
#     basis:
#       simulated: shipped scenarios of the control plane on a shipped profile of an H100
# ---

# %% [markdown]
# # What does each incident do, and what would have helped?
#
# A spike, a dead GPU, a cut network, a machine taken away, a large customer, a loop that spends. Each is replayed with
# and without its remedy, under the same arrivals.

# %% tags=["parameters"]
incidents: str = "spike,gpu,partition,spot,onboarding,overrun"
seeds: int = 3
quick: bool = False  # one seed

# %%
from workbench.chapters import ch18
from workbench.chapters.about import about

about("ch18")

# %%
found = ch18.experiment(incidents, seeds, quick)
ch18.harm_chart(found)

# %%
ch18.harm_table(found)

# %% [markdown]
# ## While it burns

# %%
ch18.burn_chart(found)

# %% [markdown]
# ## The runbook that follows

# %%
ch18.runbook(found)

# %% [markdown]
# ## Change this and see
#
# Name one incident in `incidents` and raise `seeds`: how sure is its entry in the runbook? The scenario behind each is a
# file; each begins with the line to change.
#
# ## What this does not show
#
# Replicas that grow slow instead of silent, several incidents at once, and people: how long until somebody acts.

# %%
ch18.numbers(found)

# %%
ch18.answer(found)
