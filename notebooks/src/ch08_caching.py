# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "8"
#     modes: [concept, technique, practice]
#     readers: whoever thinks of answering twice what was computed once
#     run_s: 15
#     quick_s: 2
#     basis:
#       simulated: the cache that the control plane runs, before drawn questions
#       imported: block ids of a public trace, where its folder is named
#       measured: a look in memory and in Redis, on this machine
#     claims: [cache-hit, hit-rate]
# ---

# %% [markdown]
# # What does a cache hit, and when is it not worth it?
#
# Two caches: one keeps whole answers, one keeps computed prompts. Each has a hit rate, and everything else follows from
# that.

# %% tags=["parameters"]
questions: int = 500  # different questions that are asked
skew: float = 1.0  # popularity 1 / rank^skew
rate_per_s: float = 5.0  # requests per second
requests: int = 3993  # of the trace, or drawn
looks: int = 2000  # timed in memory and in Redis
seeds: int = 5
quick: bool = False  # fewer of everything

# %%
from workbench.chapters import ch08, redis_here
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch08")

# %% [markdown]
# ## Whole answers: for how long?

# %%
kept = ch08.keep(questions, skew, rate_per_s, seeds, quick)
ch08.ttl_chart(kept)

# %% [markdown]
# ## When a popular answer expires

# %%
ch08.stampede_chart()

# %% [markdown]
# ## Computed prompts: how large a cache?

# %%
found = ch08.prefixes(requests, quick)
ch08.prefix_chart(found)

# %% [markdown]
# ## In memory or in Redis?

# %%
redis_here.look_table(looks)

# %% [markdown]
# ## Is it worth it?

# %%
ch08.saving_table(found.ideal)

# %% [markdown]
# ## The book's figures

# %%
claim_table("ch08")

# %% [markdown]
# ## Change this and see
#
# Set `skew` to zero: every question is as rare as any other, and only a long life helps.
#
# ## What this does not show
#
# Whether an old answer is still right, and similar questions that are not the same one: a hit rate of a semantic cache
# says nothing without its false hits.

# %%
ch08.numbers(kept, found)

# %%
ch08.answer(kept, found)
