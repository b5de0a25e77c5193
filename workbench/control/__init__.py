"""The control plane's decisions as pure objects: now and an event go in, decisions come out.

Standard library only: no clock, no randomness, no I/O. SimPy drives them in sims/, a gateway may drive the
same objects in front of real engines, and a journal replays through a fresh one to the same decisions.
"""
