"""Servers that run in an environment of their own: standard library, that environment, and little of ours."""
