"""Starts the same node for several runs at once, as Kubernetes would start pods: `parallel_nodes.py OPTIONS RUN...`.

OPTIONS is a JSON file with `node`, `ir`, `sources`, `workspace` and `data`. What takes time, TFX's import, is done
once; each run is a process of its own from there on.
"""

import json
import multiprocessing
import sys
import traceback
from pathlib import Path

from kubeflow.task.node import run_node
from kubeflow.task.parameters import RunParameters

OPTIONS = json.loads(Path(sys.argv[1]).read_text())
RUNS = sys.argv[2:]


def run(run_id: str, barrier: "multiprocessing.synchronize.Barrier") -> None:
    barrier.wait()
    try:
        parameters = RunParameters(OPTIONS["workspace"], OPTIONS["data"], "serving")
        run_node(OPTIONS["node"], OPTIONS["ir"], OPTIONS["sources"], run_id, parameters)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(len(RUNS))
    processes = [fork.Process(target=run, args=(run_id, barrier)) for run_id in RUNS]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(sum(process.exitcode != 0 for process in processes))
