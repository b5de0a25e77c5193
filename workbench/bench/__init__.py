"""The load generator: a worker process that sends a drawn schedule and writes down when things happened.

The parent side is `run.run`; everything the worker imports loads neither pandas nor pyarrow, so this
package itself imports nothing.
"""
