# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # How many replicas, of which quantisation, at what cost?
#
# A load and a promise are given. What was measured on this machine says how fast an engine is; a simulation on
# that says how many engines keep the promise; prices say what they cost.

# %% tags=["parameters"]
inputs: str = "inputs"  # results folder: validation.json, plan.json, profiles

# %%
from workbench.chapters import capacity

data = capacity.load(inputs)
capacity.question(data)

# %% [markdown]
# ## What was measured, on which machine

# %%
capacity.machine_table(data)

# %% [markdown]
# ## How well the simulation predicts runs it never saw

# %%
capacity.validation_table(data)

# %%
capacity.verdicts(data)

# %%
capacity.validation_chart(data)

# %% [markdown]
# ## The profile behind the simulation

# %%
capacity.profile_table(data)

# %%
capacity.speed_chart(data)

# %%
capacity.residual_table(data)

# %% [markdown]
# ## How many replicas

# %%
capacity.candidate_table(data)

# %%
capacity.rejected(data)

# %%
capacity.capacity_chart(data)

# %% [markdown]
# ## What they cost

# %%
capacity.cost_table(data)

# %%
capacity.cost_chart(data)

# %% [markdown]
# ## The same question for GPUs that nobody here owns

# %%
capacity.gpu_table(data)

# %%
capacity.gpu_chart(data)

# %%
capacity.gpu_answer(data)

# %% [markdown]
# ## The answer

# %%
capacity.numbers(data)

# %%
capacity.answer(data)
