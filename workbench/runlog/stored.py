"""Segments inside the run log's Parquet file: extra columns, whose lists all lie in the first row.

One file, so that a log that is copied or renamed keeps its chunk times; a reader that does not know the columns leaves
them out.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.errors import Failure
from workbench.runlog.segments import COUNT, Segments

RUNS = ("segment_end_ns", "segment_first_fs", "segment_rise_fs", "segment_iterations")
SPANS = ("span_row", "span_first", "span_last")


def attach(table: pa.Table, segments: Segments | None) -> tuple[pa.Table, dict[str, Any]]:
    """The table with the segments' columns, and what the file's head says of them."""
    if segments is None or not len(table):
        return table, {}
    for names, values in ((RUNS, segments.runs), (SPANS, segments.spans)):
        offsets = np.full(len(table) + 1, len(values), dtype=np.int64)
        offsets[0] = 0
        for i, name in enumerate(names):
            column = pa.LargeListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values[:, i])))
            table = table.append_column(name, column)
    return table, {"segments": {"shift_ns": segments.shift_ns, "until_ns": segments.until_ns}}


def detach(table: pa.Table, head: Mapping[str, Any], name: str) -> Segments | None:
    """The segments of a file; None where it has none. Damaged ones are a Failure."""
    about = head.get("segments")
    if about is None:
        return None
    try:
        runs, spans = (
            np.column_stack([np.asarray(table.column(key).combine_chunks().flatten(), dtype=np.int64) for key in names])
            for names in (RUNS, SPANS)
        )
        found = Segments(runs, spans, table.num_rows, int(about["shift_ns"]), int(about["until_ns"]))
        inside = (spans >= 0).all() and (spans[:, 0] < found.rows).all() and (spans[:, 1:] < len(runs)).all()
        if not (inside and (spans[:, 1] <= spans[:, 2]).all() and (runs[:, COUNT] >= 1).all()):
            raise ValueError("spans that point outside")
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise Failure(f"{name}: its chunk times are damaged ({error}); simulate it again") from error
    return found
