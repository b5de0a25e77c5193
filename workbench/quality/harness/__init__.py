"""lm-eval: its tasks become items here, its scores come back; it runs as a child, in an environment of its own.

`child` and `lm` run there, where lm-eval is and the workbench's dependencies are not: they import the standard library,
lm-eval, and modules of ours that need no more.
"""
