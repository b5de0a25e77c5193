"""Workloads: when requests come, how long they are, and what they say."""
