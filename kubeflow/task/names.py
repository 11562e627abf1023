"""Names of tasks."""

import re

# The nodes that are ours and not TFX's, as `kubeflow.nodes` knows them.
VERDICT, REPORT = "Verdict", "Report"
# The nodes that may reject the data.
DATA_CHECKS = ("ImageExampleGen", "DataGate", "DriftCheck", "LeakCheck")

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def task_name(node_id: str) -> str:
    """The name of a node's task: "ImageExampleGen" is "image-example-gen"."""
    return re.sub(r"[^a-z0-9]+", "-", _CAMEL.sub("-", node_id).lower()).strip("-")
