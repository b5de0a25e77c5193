"""The control plane in front of engines: asyncio drives the same object that the simulator drives.

`virtual` is an event loop whose time passes at once; `driver` does what the plane decides.
"""
