"""One metric schema for simulation and gateway: vLLM's names where they exist. See docs/control/metrics.md."""
