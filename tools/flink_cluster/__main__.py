"""`python -m tools.flink_cluster up` and `down`: a cluster that stays until `down`."""

import sys

from tools.flink_cluster.cluster import ClusterError, FlinkCluster
from tools.flink_cluster.software import CACHE, MissingSoftwareError, fetch_software

_FOLDER = CACHE / "cluster"
# Beam's own default.
_JOB_PORT = 8099


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0, 1 after a failure, 2 for wrong arguments."""
    if arguments not in (["up"], ["down"]):
        print(f"error: received {' '.join(arguments)!r}; usage: python -m tools.flink_cluster up|down", file=sys.stderr)
        return 2
    try:
        software = fetch_software()
        cluster = FlinkCluster.load(_FOLDER, software)
        return _up(cluster) if arguments == ["up"] else _down(cluster)
    except (MissingSoftwareError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _up(cluster: FlinkCluster | None) -> int:
    if cluster is not None and not all(cluster.is_alive().values()):
        print("parts of the last cluster have ended: starting a new one")
        cluster.stop()
        cluster = None
    if cluster is None:
        cluster = FlinkCluster.start(_FOLDER, fetch_software(), job_port=_JOB_PORT)
    print(f"Flink with {cluster.task_managers()} task managers: {cluster.rest}, logs in {_FOLDER / 'logs'}")
    print("crackgate run --data ... " + " ".join(f"--set {setting}" for setting in cluster.settings()))
    return 0


def _down(cluster: FlinkCluster | None) -> int:
    if cluster is None:
        print("no cluster is up")
    else:
        cluster.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
