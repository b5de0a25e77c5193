"""Machines and prices: typed-in facts, each with its source and date."""
