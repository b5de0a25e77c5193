# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "5"
#     modes: [concept, technique, practice]
#     readers: whoever puts a first gate before one engine
#     run_s: 140
#     quick_s: 4
#     basis:
#       measured: llama.cpp with the shipped model, started on this machine (not with `quick`)
#       simulated: the same engine by its profile; one replica on a shipped profile of an H100
#       derived: formulas of Pollaczek, Khinchine and Erlang
# ---

# %% [markdown]
# # What does a single queue before one engine do?
#
# The smallest control plane has one backend, a line and metrics. The textbooks know such a queue. Does the simulator
# agree with them, and does a real engine agree with either?

# %% tags=["parameters"]
seeds: int = 6
measure_n: int = 40  # requests in each run of the real engine
seed: int = 5
quick: bool = False  # starts no engine, fewer loads and seeds

# %%
from workbench.chapters import ch05, ch05_engine
from workbench.chapters.about import about

about("ch05")

# %% [markdown]
# ## Formula, simulator, engine
#
# A profile of this machine is fitted to short runs, then the engine is loaded as the simulator is.

# %%
real = ch05_engine.engine_runs(measure_n, seed, quick)
curves = ch05.curves(real, seeds, quick)
ch05.queue_chart(curves, real)

# %%
ch05.run_table(real)

# %% [markdown]
# ## What the metrics say
#
# The same front door before a large replica: below its capacity, above it, and above it with a bound on the line.

# %%
played = ch05.door(seeds, quick)
ch05.door_chart(played)

# %%
ch05.door_table(played)

# %% [markdown]
# ## Change this and see
#
# Raise `measure_n`: the marks of the engine and of its twin move together, because a queue's mean depends much on the
# arrivals that it happened to see.
#
# ## What this does not show
#
# The engine computes on one thread beside the client; a GPU batches far better. Nothing fails here, and nobody gives up.

# %%
ch05.numbers(curves, real, played)

# %%
ch05.answer(curves, real)
