# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "15"
#     modes: [concept, technique, practice]
#     readers: whoever has a model that is too large or too slow for one GPU
#     run_s: 25
#     quick_s: 3
#     basis:
#       imported: kernel times of NVIDIA's database, in shipped profiles of H100 and L40S
#       simulated: fleets on these profiles
#       roofline: shares of the link
#       derived: pipelines
#     claims: [seventy-b-gpus, tensor-parallel-gain]
# ---

# %% [markdown]
# # One model over several GPUs, or several copies?
#
# Tensor parallelism shares every layer and talks after each. Pipelines share the layers and talk seldom. Copies never
# talk. What does each buy, what does the link cost, and what is lost with one GPU?

# %% tags=["parameters"]
gpus: int = 8  # to be divided: 1, 2, 4 or 8
failure_rps: float = 24.0  # requests per second while a GPU dies
seeds: int = 3
quick: bool = False  # fewer splits and seeds, shorter runs

# %%
from workbench.chapters import ch15
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch15")

# %% [markdown]
# ## Tensors over GPUs

# %%
ch15.scaling_chart()

# %%
ch15.link_chart()

# %% [markdown]
# ## Tensors or pipelines

# %%
ch15.pipeline_table(gpus)

# %% [markdown]
# ## One large or several small

# %%
found = ch15.copies(gpus, seeds, quick)
ch15.copies_chart(found, gpus)

# %% [markdown]
# ## When one GPU dies

# %%
played = ch15.failure(failure_rps, seeds, quick)
ch15.failure_chart(played)

# %% [markdown]
# ## The book's figures

# %%
claim_table("ch15")

# %% [markdown]
# ## Change this and see
#
# Set `gpus` to two: the choice between one copy and two hardly matters where the model fits one GPU.
#
# ## What this does not show
#
# Kernel times leave out the engine's own time between iterations. Pipelines are drawn without bubbles: real stages are
# never equal. Several machines need a network between them, which is slower than either link here.

# %%
ch15.numbers(found, gpus, played)

# %%
ch15.answer(found, gpus, played)
