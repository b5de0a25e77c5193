# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "16"
#     modes: [concept, practice]
#     readers: whoever must say whether serving a model pays
#     run_s: 10
#     quick_s: 2
#     basis:
#       derived: a month-by-month model on prices with sources
#       simulated: what a machine carries, and the draws of uncertain inputs
#     claims: [four-hundred-b-eight, four-hundred-b-four, users-per-gpu]
# ---

# %% [markdown]
# # Does serving a large model pay, and on whose machines?
#
# One market, five ways to run it: bought, half as many bought, rented, under a desk, and a mixture. The market is made
# up: put in your own.

# %% tags=["parameters"]
new_users_per_month: float = 300.0  # in the first month
churn_frac: float = 0.05  # of those who are there, a month
pro_usd_per_month: float = 20.0  # what the pro tier pays
draws: int = 2000  # of the uncertain inputs
quick: bool = False  # fewer draws

# %%
from workbench.chapters import ch16
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch16")

# %%
spec = ch16.spec_of(new_users_per_month, churn_frac, pro_usd_per_month, draws, quick)
found = ch16.plan(spec)
ch16.option_table(found)

# %% [markdown]
# ## Cash, month by month

# %%
ch16.cash_chart(found)

# %% [markdown]
# ## What moves it: one input at a time

# %%
ch16.tornado_chart(found)

# %% [markdown]
# ## All of them at once

# %%
ch16.chance_chart(found)

# %% [markdown]
# ## Who pays for whom

# %%
ch16.tier_table(found)

# %% [markdown]
# ## The spreadsheet

# %%
ch16.sheet_table(spec, found)

# %% [markdown]
# ## What the book says

# %%
claim_table("ch16")

# %% [markdown]
# ## Change this and see
#
# Lower `pro_usd_per_month` until no option pays. Lower `new_users_per_month`: at a few users every machine of your own
# is too large, and renting wins or nothing does.
#
# ## What this does not show
#
# Whether anybody wants it. Taxes, loans, and machines that are replaced are not modelled. What a machine carries was
# simulated for one mix of lengths and one promise of latency; another mix needs a simulation of its own.

# %%
ch16.numbers(found)

# %%
ch16.answer(found)
