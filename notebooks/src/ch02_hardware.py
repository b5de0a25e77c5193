# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "2"
#     modes: [concept, technique, practice]
#     readers: whoever is about to buy or rent a machine for a model
#     run_s: 15
#     quick_s: 3
#     basis:
#       measured: memory bandwidth and arithmetic of the machine that runs this page
#       roofline: ceilings from datasheets
#       imported: kernel times of data-centre cards
#       derived: memory and money by arithmetic on tables with sources
#     claims: [vram-formula, seven-b-sizes, seven-b-hardware]
# ---

# %% [markdown]
# # Which hardware does a model need, and is it worth buying?
#
# Three questions in this order: does it fit, how fast can memory feed it, what does an hour cost.

# %% tags=["parameters"]
context_tok: int = 4096  # prompt and answer of one request
gpu: str = "RTX3060"  # the card whose memory is drawn as a line
region: str = "US-Ohio"  # of datasets/prices/electricity.csv
staff_usd_per_month: float = 2000.0  # a machine's share of people
repeats: int = 9  # of each measurement
quick: bool = False  # fewer repeats and products

# %%
from workbench.chapters import ch02, ch02_machine
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch02")

# %% [markdown]
# ## Does it fit?

# %%
ch02.memory_chart(context_tok, gpu)

# %% [markdown]
# ## At home

# %%
ch02.home_table(context_tok)

# %% [markdown]
# ## Ceilings, and what comes of them

# %%
found = ch02.speeds()
ch02.speed_chart(found)

# %% [markdown]
# ## This machine's own roofline

# %%
machine = ch02_machine.measure(repeats, quick)
ch02_machine.roofline_chart(machine)

# %% [markdown]
# ## Which machine for which model

# %%
ch02.matrix(context_tok)

# %% [markdown]
# ## Rent or own?

# %%
owned = ch02.own_or_rent(region, staff_usd_per_month)
ch02.own_or_rent_chart(owned)

# %% [markdown]
# ## What the book says

# %%
claim_table("ch02")

# %% [markdown]
# ## Change this and see
#
# Raise `context_tok`: the lines of memory become steeper, and the matrix moves to larger machines. Set `gpu` to the
# card under your desk. Add people to `staff_usd_per_month` and watch owning move to the right.
#
# ## What this does not show
#
# A ceiling is a bound for one request; what a machine serves inside a latency limit is a simulation of its own. numpy's
# products are no inference engine. Prices are those of the tables, on their dates; discounts and delivery times are not
# in them.

# %%
ch02.numbers(machine, found, owned)

# %%
ch02.answer(machine, found, owned)
