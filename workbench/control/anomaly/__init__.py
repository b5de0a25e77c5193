"""When to call somebody: error budgets that burn too fast, and values that changed.

`BurnRate` reads counts of good and bad; the detectors read one value a step. docs/control/anomaly.md.
"""
