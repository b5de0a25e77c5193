# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "14"
#     modes: [technique, practice]
#     readers: whoever must say what each customer costs
#     run_s: 25
#     quick_s: 2
#     claims: [cost-per-request]
#     basis:
#       simulated: usage of the whole control plane on a shipped profile of an H100; drawn days for the forecast
# ---

# %% [markdown]
# # Who costs what, and how well is tomorrow foreseen?
#
# Every answer is a fact: who asked, which model, how many tokens, what it cost us and what it pays. The rest is
# questions to a database, and one decision: by which key a fleet's cost is shared out.

# %% tags=["parameters"]
mean_per_h: float = 400.0  # requests per hour, for the forecast
growth_per_week: float = 0.05
seeds: int = 6
quick: bool = False  # a shorter run, shorter series

# %%
from workbench.chapters import ch14
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch14")

# %%
found = ch14.books(quick)
ch14.query_table(found)

# %%
ch14.spend_chart(found)

# %% [markdown]
# ## By which key?

# %%
ch14.sharing_chart(found)

# %% [markdown]
# ## Tomorrow

# %%
foreseen = ch14.foresee(mean_per_h, growth_per_week, seeds, quick)
ch14.forecast_chart(foreseen)

# %% [markdown]
# ## Change this and see
#
# Raise `growth_per_week`: what repeats yesterday falls behind, what learns a trend does not. Lower `mean_per_h`: the
# noise grows, and no forecaster helps against it.
#
# ## What this does not show
#
# People, networks and storage: a fleet's cost here is the price of its machines. Real days have holidays.

# %%
claim_table("ch14")

# %%
ch14.numbers(found, foreseen)

# %%
ch14.answer(found, foreseen)
