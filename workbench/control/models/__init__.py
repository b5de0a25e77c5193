"""Which model answers: versions and aliases, splits between versions, canaries with a sequential test as their
gate, and the best model for a request. What each promises: docs/control/models.md.
"""
