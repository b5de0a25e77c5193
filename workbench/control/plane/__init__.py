"""The whole control plane as one pure object: told what happened and when, it answers what is to be done.

`build.plane_of` makes one of plain facts, `plane.ControlPlane` asks the policies in their order, `journal` keeps and
replays what it decided. See docs/control/plane.md.
"""
