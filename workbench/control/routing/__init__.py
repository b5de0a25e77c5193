"""Which replica a request goes to, and what happens when one fails.

Routers filter, score and pick (`pipeline.py` puts parts together; the others are whole and short). Breaker, health
checks and ejection say who may be picked. Retries and hedges obey the rule of the first byte. What each promises:
docs/control/routing.md.
"""
