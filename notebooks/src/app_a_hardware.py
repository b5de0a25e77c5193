# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "A"
#     modes: [technique, practice]
#     readers: whoever looks up a card, a model's size or a price
#     run_s: 5
#     quick_s: 1
#     basis:
#       vendor: sizes and peaks as makers publish them
#       imported: prices, each with source and date
#       derived: what fits, by arithmetic on both
# ---

# %% [markdown]
# # What does which hardware offer, what fits on it, and what does it cost?
#
# Tables to look things up. Every row has a source and a date, and old prices say so.

# %% tags=["parameters"]
kinds: str = "gpu, amd, tpu, apple, cpu"  # of accelerators
quant: str = "fp8"  # the format that must fit
context_tok: int = 4096  # of one request
on: str = ""  # the day on which prices are old or not, as YYYY-MM-DD; empty: today
quick: bool = False  # the same: nothing here is simulated

# %%
from workbench.chapters import app_a
from workbench.chapters.about import about

about("app_a")

# %% [markdown]
# ## Accelerators

# %%
cards = app_a.cards(kinds)
app_a.card_chart(cards)

# %%
app_a.card_table(cards)

# %% [markdown]
# ## Models

# %%
app_a.model_table()

# %% [markdown]
# ## What fits on one

# %%
app_a.fits_table(cards, quant, context_tok)

# %% [markdown]
# ## What it costs to rent

# %%
today = app_a.today_of(on)
app_a.price_chart(today)

# %%
app_a.machine_table(today)

# %%
app_a.api_table(today)

# %% [markdown]
# ## What it takes to own

# %%
app_a.owning_table(today)

# %% [markdown]
# ## Change this and see
#
# Set `quant` to `bf16` or `Q4_K_M` and look at the rows that change. Set `on` to a day next year: every price is old.
#
# ## What this does not show
#
# Peaks are upper bounds: what is reached of them is measured or imported elsewhere. Several cards together hold more;
# `workbench memory` splits models over them. CPU speeds are measured in the chapter on hardware.

# %%
app_a.numbers(cards, today)

# %%
app_a.answer(cards, quant, context_tok)
