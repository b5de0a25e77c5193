# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "B"
#     modes: [technique, practice]
#     readers: whoever must choose a model for a card and a purpose
#     run_s: 8
#     quick_s: 2
#     basis:
#       imported: licences, kernel times of NVIDIA's database, distances that llama.cpp's pages give
#       measured: the shipped model's quality, and two models on this project's engines
#       derived: memory, by arithmetic on each model's dimensions
#       roofline: bounds of speed
#     claims: [named-models, thirty-b-slower]
# ---

# %% [markdown]
# # Which model fits the card, how fast and how good is it, and may I use it?
#
# The models that this project knows, side by side. Each figure says where it comes from; what nobody measured is
# missing, not guessed.

# %% tags=["parameters"]
gpu: str = "RTX4090"  # that must hold the model
quant: str = "Q4_K_M"  # in this format
context_tok: int = 4096  # of each request
requests: int = 1  # at once
commercial: str = "yes, conditions"  # what the licence may say of commercial use: yes, conditions, no
quick: bool = False  # the same: nothing here is simulated

# %%
from workbench.chapters import app_b, app_b_bits, app_b_speed
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("app_b")

# %% [markdown]
# ## Memory, speed, context

# %%
found = app_b.shelf(gpu, quant, context_tok, requests, commercial)
app_b.memory_chart(found)

# %%
app_b.context_chart(found)

# %%
app_b.model_table(found)

# %% [markdown]
# ## Speed on data-centre cards

# %%
speeds = app_b_speed.profiles()
app_b_speed.speed_chart(speeds)

# %% [markdown]
# ## Speed on a processor

# %%
app_b_speed.cpu_table()

# %% [markdown]
# ## Quality in few bits

# %%
bits = app_b_bits.kept(quant)
app_b_bits.bits_chart(bits)

# %% [markdown]
# ## Licences

# %%
app_b.licence_table()

# %% [markdown]
# ## The book's figures

# %%
claim_table("app_b")

# %% [markdown]
# ## Change this and see
#
# Set `gpu` to `H100-SXM` and `quant` to `fp8`, as a server would. Ask for many `requests`: a model that fits alone no
# longer does. Set `commercial` to `yes` alone.
#
# ## What this does not show
#
# Which model answers better: scores that makers publish of their own models are left out, for nobody here asked the
# same questions of each. Ask yours with `workbench quality run`. A bound by bandwidth is what no engine passes, not
# what one reaches. Models that came out since are not in the tables; a row more in `datasets/models` is enough.

# %%
app_b.numbers(found, speeds, bits)

# %%
app_b.answer(found, bits)
