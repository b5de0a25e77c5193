"""Operations of the plane: who starts and stops replicas, who places them on nodes, who shifts models, who alarms.

`Operations` is told what the plane sees and appends its decisions to the desk's. docs/control/operations.md.
"""
