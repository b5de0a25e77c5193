"""Statistics: percentiles that admit when they cannot be known, intervals, comparisons, warm-up."""
