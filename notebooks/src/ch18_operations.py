# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   workbench:
#     chapter: "18"
#     modes: [concept, practice]
#     readers: whoever is called at night
#     run_s: 80
#     quick_s: 6
#     basis:
#       simulated: shipped scenarios of the control plane, and the load of a day, on shipped profiles of an H100
#       derived: distances in light's time, and bills from the price tables
#     claims: [cold-start, mini-lab]
# ---

# %% [markdown]
# # What does each incident do, and what would have helped?
#
# A spike, a dead GPU, a slow one, a cut network, a machine taken away, a large customer, a loop that spends, a worse
# model. Each is replayed with and without its remedy, under the same arrivals. Then: when would somebody have been
# called, does a second region help, and what is a machine worth that is rented for the moment?

# %% tags=["parameters"]
incidents: str = "spike,overrun,gpu,slow,partition,spot,onboarding"
objective_frac: float = 0.999  # of the requests should be good, over a month
regions: str = "virginia,frankfurt,tokyo"
region_peak_rps: float = 150.0  # requests per second of each region, in its busiest hour
path_times: float = 1.5  # how much longer a cable is than the great circle: a guess
burst_start_s: float = 15.0  # until a rented replica serves
seeds: int = 5
quick: bool = False  # two incidents, two seeds, fewer requests

# %%
from workbench.chapters import ch18, ch18_burn, ch18_burst, ch18_degraded, ch18_regions, ch18_replicas
from workbench.chapters.about import about
from workbench.chapters.claimed import claim_table

about("ch18")

# %%
found = ch18.experiment(incidents, seeds, quick)
ch18.harm_chart(found)

# %%
ch18.harm_table(found)

# %% [markdown]
# ## A new version answers worse
#
# No request fails, no replica is slow: only what is said is worse. Who finds it, and after how many answers?

# %%
worse = ch18_degraded.degraded(seeds, quick)
ch18_degraded.degraded_chart(worse)

# %% [markdown]
# ## While it burns

# %%
ch18.burn_chart(found)

# %% [markdown]
# ## Who looks at the mean of all sees nothing

# %%
ch18_replicas.replicas_chart(found, ch18.titles(found))

# %% [markdown]
# ## When is somebody called?
#
# The error budget is a month's. An alarm needs two windows at once: a long one, so that a hiccup wakes nobody, and a
# short one, so that it ends when the errors do. It is the policy that the plane runs.

# %%
burned = ch18_burn.burns(found, objective_frac)
ch18_burn.alarm_chart(burned, ch18.titles(found), objective_frac)

# %%
ch18_burn.alarm_table(burned, ch18.titles(found), objective_frac)

# %% [markdown]
# ## Geography: distance, the sun, and a region that is lost

# %%
world = ch18_regions.world(regions, region_peak_rps, path_times, seeds, quick)
ch18_regions.distance_chart(world)

# %%
ch18_regions.sun_chart(world)

# %%
ch18_regions.way_table(world)

# %% [markdown]
# ## Own the base, rent the burst: what it costs

# %%
priced = ch18_burst.priced(quick)
ch18_burst.day_chart(priced)

# %%
ch18_burst.cost_table(priced)

# %% [markdown]
# ## And how soon it helps

# %%
burst = ch18_burst.burst(burst_start_s, seeds, quick)
ch18_burst.help_chart(burst)

# %% [markdown]
# ## The runbook that follows

# %%
ch18.runbook(found, burned)

# %% [markdown]
# ## The book's figures

# %%
claim_table("ch18")

# %% [markdown]
# ## Change this and see
#
# Name one incident in `incidents` and raise `seeds`: how sure is its entry in the runbook? Loosen `objective_frac`:
# which incidents call nobody any more? Give only two `regions`: what does it take now to lose one? Halve
# `burst_start_s`.
#
# ## What this does not show
#
# Several incidents at once, and people: how long until somebody acts. The network between regions is light in fibre:
# no routers, no queues, no price for traffic, and data that must stay where it is. Rented machines are taken to be
# there when asked for.

# %%
ch18.numbers(found, worse, burned, world, priced, burst)

# %%
ch18.answer(found, burned, world, priced, burst)
