"""Statistics: percentiles that admit when they cannot be known, intervals, ranges of repeats."""
