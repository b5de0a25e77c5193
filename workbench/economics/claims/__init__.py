"""The book's figures as a register: each row is recomputed by a function here or in workbench.flows.claims."""
