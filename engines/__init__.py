"""Engines: what serves a model over OpenAI-style HTTP. Found by name, launched on loopback, stopped with all of it."""

from engines.custom import from_command_line
from engines.launch import launch
from engines.lookup import NAMES, EngineNotAvailable, find
from engines.record import Engine
from engines.running import Fact, Running, facts_as_dict

__all__ = ["NAMES", "Engine", "EngineNotAvailable", "Fact", "Running", "facts_as_dict", "find", "from_command_line",
           "launch"]
