"""The run log: one row per request, real or simulated, provenance in the file.

`schema` and `part` load neither pandas nor pyarrow (the load generator's worker imports them);
reading and writing Parquet lives in `table`.
"""

from workbench.runlog.schema import COLUMNS, OUTCOMES, SCHEMA, Outcome, Planned, Row

__all__ = ["COLUMNS", "OUTCOMES", "SCHEMA", "Outcome", "Planned", "Row"]
