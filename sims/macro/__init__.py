"""The macro-step replica: many iterations in one event, and to the nanosecond what `sims.replica` does."""
