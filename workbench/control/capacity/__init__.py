"""How many replicas: target tracking, by queue, by concurrency, by forecast; and which stop.

An autoscaler recommends; `Steady` around it bounds, stabilises and protects. docs/control/capacity.md.
"""
