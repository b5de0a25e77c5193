"""The inference workbench: measure real engines, simulate the control plane, price the answer."""

__version__ = "0.1.0"
