# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "4"
#     modes: [concept, technique, practice]
#     readers: whoever must choose an engine
#     run_s: 7
#     quick_s: 2
#     basis:
#       measured: four engines on one CPU core each, kept in datasets/measured
#       derived: the book's figure, from a shipped profile
#     claims: [first-token]
# ---

# %% [markdown]
# # Which engine serves the same model best?
#
# The same weights, the same prompts, one compute thread: what differs is the engine alone. Alone and in a crowd the
# order is another one.

# %% tags=["parameters"]
model: str = "random-135m"  # or tiny: all overhead, what an engine costs by itself
quick: bool = False  # changes nothing: the figures are kept, not measured now

# %%
from workbench.chapters import ch04
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch04")

# %%
found = ch04.measured(model)
ch04.load_chart(found, model)

# %%
ch04.table(found)

# %% [markdown]
# ## What an engine costs besides time

# %%
ch04.cost_chart(found, model)

# %% [markdown]
# ## Which one when

# %%
ch04.guide(found)

# %% [markdown]
# Convenience is no figure: llama.cpp and Ollama start from one file, vLLM and SGLang want a GPU and an environment of
# their own, transformers runs a new architecture first, ONNX Runtime goes where no Python is.

# %%
ch04.here()

# %% [markdown]
# ## The book's figures

# %%
claim_table("ch04")

# %% [markdown]
# ## Change this and see
#
# Set `model` to `tiny`: arithmetic disappears, and what is left is each engine's own work per token.
# `workbench sweep run datasets/measured/engines_cpu.toml` measures your machine.
#
# ## What this does not show
#
# GPUs, where vLLM, SGLang and TensorRT-LLM are at home: nothing was measured there. Requests that come irregularly:
# a closed loop hides that static batches let late comers wait. Quality: at full precision the engines answer alike.

# %%
ch04.numbers(found)

# %%
ch04.answer(found)
