# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "3"
#     modes: [concept, technique, practice]
#     readers: whoever chooses a model and must decide in which format to fetch it
#     run_s: 15
#     quick_s: 2
#     basis:
#       measured: the shipped model in each format on llama.cpp (datasets/quality), its conversion and starts now
#       imported: an 8B by llama.cpp's own pages
# ---

# %% [markdown]
# # Which format of a model do I need, and what does it cost in answers?
#
# A container says how weights lie in a file; a quantisation says how many bits each is left. The first changes nothing,
# the second does.

# %% tags=["parameters"]
names: str = "Llama-3.1-8B-Instruct-Q4_K_M.gguf, Qwen3-30B-A3B, Mixtral-8x7B-v0.1, Qwen3-32B-FP8, Llama-3.2-7B"
formats: str = "F16, Q8_0, Q5_0, Q4_0"  # whose starts are timed
repeats: int = 4  # starts of each
quick: bool = False  # no engine is started

# %%
from workbench.chapters import ch03
from workbench.chapters.about import about

about("ch03")

# %% [markdown]
# ## Another container, the same weights

# %%
ch03.containers()

# %% [markdown]
# ## Fewer bits

# %%
rows = ch03.kept()
ch03.format_chart(rows)

# %%
ch03.published_chart()

# %% [markdown]
# ## How long until it answers

# %%
started = ch03.starts(formats, repeats, quick)
ch03.start_table(started)

# %% [markdown]
# ## What a name says, and a licence
#
# A name promises nothing, and a model of that name may not exist. A licence is stated by the model's card: Apache-2.0
# and MIT let you serve it; community licences carry terms on use and naming; "not stated" means that you may assume
# nothing. A quantised model has its source's licence.

# %%
ch03.name_table(names)

# %% [markdown]
# ## Change this and see
#
# Put the name of the model that you are about to fetch into `names`. `workbench models inspect` reads what is really
# in a file, from its header; `workbench quantise` makes another format and says what became of it.
#
# ## What this does not show
#
# Formats for GPUs (GPTQ, AWQ, EXL2) were not timed here; which engine read what is in the format matrix of the
# documentation. Larger models bear fewer bits better than the shipped one; the published figures are of another
# machine.

# %%
ch03.numbers(rows, started)

# %%
ch03.answer(rows)
