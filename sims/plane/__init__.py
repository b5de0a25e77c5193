"""The control plane in simulated time: SimPy drives the same object that a gateway drives in front of engines."""
