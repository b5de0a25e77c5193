# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "17"
#     modes: [technique, practice]
#     readers: whoever charges for answers and changes models under load
#     run_s: 15
#     quick_s: 2
#     basis:
#       simulated: the whole control plane on a shipped profile of an H100; its canary and its detectors before drawn outcomes
#     claims: [rental-equivalent]
# ---

# %% [markdown]
# # Does it all hold together: billing, canary, A/B test, coordinator, alarms?
#
# Four tenants, a dead node, a crowd and a new version at once. Is every answer on an invoice, once? Would a bad version
# have been promoted? How late is an alarm?

# %% tags=["parameters"]
trials: int = 400  # canaries for each failure rate
series: int = 200  # time series for each change
quick: bool = False  # a shorter run, fewer trials

# %%
from workbench.chapters import ch17, ch17_ab
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch17")

# %%
found = ch17.platform(quick)
ch17.platform_chart(found)

# %% [markdown]
# ## Requests, ledger, invoices

# %%
ch17.bill_table(found)

# %% [markdown]
# ## What did the coordinator do?

# %%
ch17.coordinator_table(found)

# %% [markdown]
# ## How sure is a canary?

# %%
trial = ch17.canary(trials, quick)
ch17.canary_chart(trial)

# %% [markdown]
# ## A or B?

# %%
ab = ch17_ab.tested(trials, quick)
ch17_ab.ab_chart(ab)

# %% [markdown]
# ## How late is an alarm?

# %%
ch17.alarm_table(series, quick)

# %% [markdown]
# ## The book's figures

# %%
claim_table("ch17")

# %% [markdown]
# ## Change this and see
#
# Raise `trials`: the intervals shrink around the bound that the test promises. In the scenario's file, let the canary
# be slower than the baseline and see it rolled back.
#
# ## What this does not show
#
# Payment providers and disputes are policies with tests of their own. A month is squeezed into a minute. Outcomes of a
# canary are independent here; users who ask again and again are not.

# %%
ch17.numbers(found, trial, ab)

# %%
ch17.answer(found, trial, ab)
