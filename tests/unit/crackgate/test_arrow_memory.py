"""The allocator that Arrow works with."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("first", ["crackgate_cli.main", "kubeflow.task.node"])
def test_arrow_takes_its_memory_from_the_system_whatever_is_imported_first(first: str) -> None:
    # With Arrow's own allocator a process with its thread pool could end with a segmentation fault.
    program = f"import {first}, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    # Inherited from this process, the choice would prove nothing.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ARROW_")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "system"
