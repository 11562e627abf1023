"""`job-wait.sh` with the real kubectl, against as much of Kubernetes' API as it asks for."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.helpers.manifests import MANIFESTS

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is missing")

BATCH = {
    "kind": "APIResourceList",
    "groupVersion": "batch/v1",
    "resources": [{"name": "jobs", "singularName": "job", "namespaced": True, "kind": "Job", "verbs": ["get"]}],
}
CORE = {
    "kind": "APIResourceList",
    "groupVersion": "v1",
    "resources": [{"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["list"]}],
}
VERSION = {"groupVersion": "batch/v1", "version": "v1"}
ANSWERS: dict[str, Any] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [{"name": "batch", "versions": [VERSION], "preferredVersion": VERSION}],
    },
    "/api/v1": CORE,
    "/apis/batch/v1": BATCH,
    "/api/v1/namespaces/kubeflow/pods": {"kind": "PodList", "apiVersion": "v1", "items": []},
}


@contextmanager
def cluster(statuses: list[dict[str, Any]], folder: Path) -> Iterator[dict[str, str]]:
    """Yields an environment for kubectl, whose cluster shows the Job in one status after the other."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            answer, code = ANSWERS.get(path), 200
            if path == "/apis/batch/v1/namespaces/kubeflow/jobs/check":
                status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
                answer = {"kind": "Job", "apiVersion": "batch/v1", "metadata": {"name": "check"}, "status": status}
            if answer is None:
                answer, code = {"kind": "Status", "apiVersion": "v1", "code": 404, "reason": "NotFound"}, 404
            text = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "c",
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    try:
        yield {**os.environ, "KUBECONFIG": str(folder / "kubeconfig"), "HOME": str(folder)}
    finally:
        server.shutdown()
        server.server_close()


RUNNING: dict[str, Any] = {"active": 1}
# Kubernetes 1.31 has conditions that come before the end.
NEARLY_FAILED = {"conditions": [{"type": "FailureTarget", "status": "True"}]}
FAILED = {"conditions": [*NEARLY_FAILED["conditions"], {"type": "Failed", "status": "True"}]}
COMPLETE = {"conditions": [{"type": "Suspended", "status": "False"}, {"type": "Complete", "status": "True"}]}


@pytest.mark.parametrize(
    ("statuses", "job", "code", "said"),
    [
        ([RUNNING, COMPLETE], "check", 0, ""),
        ([RUNNING, NEARLY_FAILED, FAILED], "check", 1, "job check failed"),
        ([RUNNING], "check", 1, "has not ended within 1 s"),
        ([RUNNING], "nowhere", 1, "NotFound"),
    ],
    ids=["complete", "failed", "too late", "not there"],
)
def test_the_wait_ends_with_the_job(
    statuses: list[dict[str, Any]], job: str, code: int, said: str, tmp_path: Path
) -> None:
    seconds = "1" if "within" in said else "60"
    with cluster(list(statuses), tmp_path) as environment:
        command = [str(MANIFESTS / "job-wait.sh"), "kubeflow", job, seconds]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr


def test_a_job_has_to_be_named() -> None:
    ended = subprocess.run([str(MANIFESTS / "job-wait.sh"), "kubeflow"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2 and "usage" in ended.stderr
