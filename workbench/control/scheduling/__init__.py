"""Who is released next at the front door, and who gives way: one interface, eight orders, and attainment by tier.

Orders of one key: Fifo, ShortestFirst, StrictPriority, Ageing, EarliestDeadline. Shares by tenant and weight:
StartTimeFair, DeficitRoundRobin, VirtualTokens. What each promises: docs/control/scheduling.md.
"""
