# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "9"
#     modes: [concept, technique, practice]
#     readers: whoever puts a queue and several replicas behind one address
#     run_s: 50
#     quick_s: 4
#     basis:
#       derived: Erlang's formulas
#       simulated: replicas on a shipped profile of an H100; for the formulas, replicas of one seat
#     claims: [queue-rejection]
# ---

# %% [markdown]
# # What does a queue buy, and what can go wrong with it?
#
# Waiting grows long before a fleet is full. Routers that trust old signals herd. Clients that ask again keep an
# overload alive. A dead replica looks idle. Each is a picture here.

# %% tags=["parameters"]
servers: int = 4  # replicas, each serving one request at a time, for the formulas
report_s: float = 2.0  # seconds between two reports of a replica
seeds: int = 5
quick: bool = False  # fewer loads and seeds, shorter runs

# %%
from workbench.chapters import ch09
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch09")

# %% [markdown]
# ## Waiting by formula and by simulation

# %%
waits = ch09.erlang(servers, seeds, quick)
ch09.erlang_chart(waits)

# %% [markdown]
# ## Routers and old signals

# %%
routed = ch09.routers(report_s, seeds, quick)
ch09.router_chart(routed, report_s)

# %% [markdown]
# ## A retry storm

# %%
stormed = ch09.storm(seeds, quick)
ch09.storm_chart(stormed)

# %% [markdown]
# ## A silent death, with and without a breaker

# %%
broken = ch09.breaker(seeds, quick)
ch09.breaker_table(broken)

# %% [markdown]
# ## The book's figures

# %%
claim_table("ch09")

# %% [markdown]
# ## Change this and see
#
# Make `report_s` small: old reports become fresh ones, and the herd disappears. Raise `servers` at the same load: a
# pooled line waits less.
#
# ## What this does not show
#
# Engines that batch do not serve one request at a time; there a request slows its neighbours instead of waiting for
# them. The formulas are a check of the simulator, not a model of an engine.

# %%
ch09.numbers(waits, routed, stormed, broken)

# %%
ch09.answer(waits, routed, stormed)
