"""How long the line may get, and who goes when it is too long or too late: bounds, deadlines, shedding, backpressure.

`QueueManager` stands before any order of `workbench.control.scheduling`. What it decides: docs/control/queueing.md.
"""
