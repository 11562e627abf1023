"""As much of Kubeflow Pipelines' REST interface (v2beta1) as starting a run and following it takes."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

RUN_ID = "6c4b0b70-7b0e-4c5b-9d43-1ce5b1f2a7a1"
Answer = tuple[str, list[dict[str, Any]]]


@dataclass
class Api:
    """What it answers and what it was asked.

    Attributes:
        answers: To one question about the run after the other: state of the run and details of its tasks; the last
            one stays. None is no answer, but an error of the server.
        profiles: With several users, the namespace of each by the header that they send (Authorization or Cookie).
        version: What Kubeflow says it is, in the older interface (v1beta1) alone.
        login_page: A stranger is sent to a page to log in, as Kubeflow's gateway does with browsers.
        started: Bodies of the runs that were started.
        namespaces: Where something was looked for or made.
    """

    answers: list[Answer | None]
    profiles: dict[str, str] = field(default_factory=dict)
    login_page: bool = False
    version: str = "2.16.0"
    started: list[dict[str, Any]] = field(default_factory=list)
    namespaces: set[str | None] = field(default_factory=set)
    url: str = ""


@contextmanager
def serving(
    answers: list[Answer | None],
    profiles: dict[str, str] | None = None,
    login_page: bool = False,
    version: str = "2.16.0",
) -> Iterator[Api]:
    api = Api(answers, profiles or {}, login_page, version)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _admit(self, namespace: str | None = None) -> bool:
            """Answers for the server where the one who asks is a stranger, or goes to the namespace of another."""
            if not api.profiles:
                return True
            profile = api.profiles.get(self.headers["Authorization"] or self.headers["Cookie"] or "")
            if profile is None and api.login_page:
                self._answer_with_page()
            elif profile is None:
                self._answer(401, {"error": "there is no user identity header", "code": 16})
            elif namespace not in (None, profile):
                self._answer(403, {"error": f"User 'me' is not authorized in {namespace}", "code": 7})
            return profile is not None and namespace in (None, profile)

        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
            namespace = query.get("namespace", [None])[0]
            if not self._admit(namespace):
                return
            if path == f"/apis/v2beta1/runs/{RUN_ID}":
                answer = api.answers.pop(0) if len(api.answers) > 1 else api.answers[0]
                if answer is None:
                    self._answer(503, {"error": "not now"})
                    return
                state, details = answer
                self._answer(200, {"run_id": RUN_ID, "state": state, "run_details": {"task_details": details}})
            elif path == "/apis/v1beta1/healthz":
                self._answer(200, {"commit_sha": "unknown", "tag_name": api.version, "multi_user": bool(api.profiles)})
            elif path == "/apis/v2beta1/runs":
                self._answer(200, {"runs": []})
            elif path == "/apis/v2beta1/experiments":
                api.namespaces.add(namespace)
                self._answer(200, {"experiments": [{"experiment_id": "e1", "display_name": "cracks"}]})
            else:
                self._answer(200, {"multi_user": bool(api.profiles)})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self._admit():
                return
            if self.path.endswith("/runs"):
                api.started.append(body)
                self._answer(200, {"run_id": RUN_ID, "state": "PENDING"})
            else:
                self._answer(200, {"experiment_id": "e1", "display_name": body.get("display_name")})

        def _answer_with_page(self) -> None:
            text = b"<html>Log in to Your Account</html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
