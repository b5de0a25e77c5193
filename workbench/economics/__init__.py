"""Unit cost, break-even, money in ledgers, and the searches that find a fleet's size."""
