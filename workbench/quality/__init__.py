"""Quality: tasks, log-likelihoods, generated code, and what quantisation changed, item by item."""
