# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "1"
#     modes: [concept, technique, practice]
#     readers: whoever has never run a model on a machine of their own
#     run_s: 18
#     quick_s: 4
#     basis:
#       measured: the shipped model behind llama.cpp on this machine, one thread
#       simulated: what a rented machine completes, on shipped profiles
#       derived: bills from the shipped prices
#     claims: [named-models]
# ---

# %% [markdown]
# # What comes back when you ask a model on your own machine, and when does that pay?
#
# Inference is using a trained model: a prompt goes in, tokens come out one after another. Training changes the weights,
# and is nobody's business here. The model that ships is tiny and knows only an invented world; the server before it is
# the one that serves large models, and its answers have the same form.

# %% tags=["parameters"]
question: str = "Which river flows through Klidaton?"
repeats: int = 40  # other questions, for the intervals
prompt_tok: int = 800  # of a request, in the comparison of bills: the median
output_tok: int = 200
seeds: int = 5
quick: bool = False  # fewer questions, machines and seeds

# %%
from workbench.chapters import ch01
from workbench.chapters.about import about
from workbench.chapters.ch01_request import first_request
from workbench.chapters.claimed import claim_table

about("ch01")

# %% [markdown]
# ## The first request, event by event

# %%
found = first_request(question, repeats, quick)
ch01.event_table(found)

# %%
ch01.field_table(found)

# %%
ch01.answer_chart(found)

# %% [markdown]
# ## By API or on a machine of one's own
#
# An API charges for tokens; a machine costs the same whether it works or not. So there is one crossing. Whether a
# machine can carry the load at that crossing is the question that calculators leave out.

# %%
compared = ch01.volumes(prompt_tok, output_tok, seeds, quick)
ch01.volume_chart(compared)

# %%
ch01.volume_table(compared)

# %% [markdown]
# ## When not to
#
# With a handful of users, with load that comes in bursts, where nobody is there at night to restart a server, or where
# only the largest models will do.

# %%
ch01.when_not(compared)

# %% [markdown]
# ## Change this and see
#
# Ask another `question`: of the invented world it knows everything, of ours nothing, and it says so in no way. Make
# `prompt_tok` large and `output_tok` small: machines read much faster than they write, APIs charge both.
#
# ## What this does not show
#
# The speed of a model that is of use: this one is a thousandth of that. Machines filled to the brim let everybody wait;
# the chapters on queues and on cost take an objective for latency into account. An API's price says nothing of where
# your data goes.

# %%
claim_table("ch01")

# %%
ch01.numbers(found, compared)

# %%
ch01.answer(found, compared)
