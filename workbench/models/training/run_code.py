"""Does a generated function pass its tests? In a child process of its own, limited and without environment.

This keeps a model's slips away from the training run. It is no sandbox against a program that means harm.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile

from workbench.models.tasks import CodeTask

TIMEOUT_S = 10.0
_CHILD = """
import json, resource, sys
limits = {resource.RLIMIT_AS: 512 << 20, resource.RLIMIT_CPU: 1, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_NOFILE: 16}
for what, most in limits.items():
    resource.setrlimit(what, (most, most))
job = json.load(sys.stdin)
namespace = {}
exec(job["program"], namespace)
namespace["check"](namespace[job["entry_point"]])
print(job["nonce"])
"""


def passes(task: CodeTask, completion: str) -> bool:
    """Whether prompt + completion satisfies the task's tests within the limits."""
    nonce = secrets.token_hex(8)
    program = f"{task.prompt}{completion}\n{task.test}"
    job = json.dumps({"program": program, "entry_point": task.entry_point, "nonce": nonce})
    try:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _CHILD], input=job, capture_output=True, text=True,
                timeout=TIMEOUT_S, env={}, check=False, errors="replace", cwd=folder,
            )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and done.stdout.endswith(f"{nonce}\n")
