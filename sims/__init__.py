"""The simulator: engines as continuous-batching replicas, a front door before them, time in integer nanoseconds."""
