"""What a first request need not wait for is not loaded before it."""

import subprocess
import sys


def test_the_bench_flow_loads_neither_pandas_nor_scipy() -> None:
    """Together they take longer to load than everything else; the log is made into a table after the run."""
    ask = "import sys, workbench.flows.bench; print(sorted({'pandas', 'pyarrow', 'scipy'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
