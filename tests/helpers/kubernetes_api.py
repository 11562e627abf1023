"""As much of Kubernetes' REST interface as reading objects of a namespace takes, and a kubeconfig that leads there."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@contextmanager
def serving(objects: Mapping[str, dict[str, Any] | int], kubeconfig: Path) -> Iterator[None]:
    """Serves objects by "NAMESPACE/KIND/NAME", such as "kubeflow/secrets/a"; a number is the status of a refusal."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            found = objects.get(self.path.removeprefix("/api/v1/namespaces/"), 404)
            status, content = (200, found) if isinstance(found, dict) else (found, _refusal(found))
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                "users": [{"name": "test", "user": {"token": "of-a-test"}}],
            }
        )
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _refusal(status: int) -> dict[str, Any]:
    reason = {403: "Forbidden", 404: "NotFound"}[status]
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status}
