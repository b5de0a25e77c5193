"""Money: usage becomes a price (what the customer pays) beside a cost (what serving cost us), both entries of one
double-entry ledger in integer pico-USD; a price book with versions, plans with fees and minimums, credits, invoices
rounded once, payments folded from a provider's events in whatever order they come, and dunning."""
