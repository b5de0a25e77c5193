"""Capacity: what was measured, how well it was predicted, how many replicas a load needs, what they cost.

`load` reads a results folder; every other function turns what it found into one thing to show. A part that is
not in the folder is said to be missing, never left out in silence.
"""

from workbench.chapters.capacity.answer import answer, numbers, question
from workbench.chapters.capacity.cost import cost_chart, cost_table
from workbench.chapters.capacity.fleet import candidate_table, capacity_chart, rejected
from workbench.chapters.capacity.gpus import gpu_answer, gpu_chart, gpu_table
from workbench.chapters.capacity.inputs import Inputs, load
from workbench.chapters.capacity.measured import machine_table, validation_chart, validation_table, verdicts
from workbench.chapters.capacity.speed import profile_table, residual_table, speed_chart

__all__ = [
    "Inputs", "answer", "candidate_table", "capacity_chart", "cost_chart", "cost_table", "gpu_answer",
    "gpu_chart", "gpu_table", "load", "machine_table", "numbers", "profile_table", "question", "rejected",
    "residual_table", "speed_chart", "validation_chart", "validation_table", "verdicts",
]
