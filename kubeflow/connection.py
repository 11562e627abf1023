"""The way to Kubeflow Pipelines' API: who asks, and why it says no."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import kfp
import kfp_server_api
from kfp.client import KF_PIPELINES_SA_TOKEN_ENV, KF_PIPELINES_SA_TOKEN_PATH
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

# A header's value; a token in a file may end with a newline.
_TOKEN = re.compile(r"[\x21-\x7e]+")
_COOKIES = re.compile(r"[\x21-\x7e]+=[\x20-\x7e]*")
_REFUSED = (401, 403)
# Any namespace but "kubeflow" keeps kfp.Client from asking the API, five times and with a traceback each.
_UNASKED = "-"


class CallerError(Exception):
    """A token or cookies that no request could bear."""


class ConnectionToKubeflowError(Exception):
    """The API cannot be reached, or refuses who asks."""


@dataclass(frozen=True)
class Caller:
    """Who asks, as kfp.Client takes it; a cluster of one user asks nobody.

    Attributes:
        token_file: Holds a bearer token, and is read anew for each request. None stands for the token that a pod finds
            where Kubeflow mounts it (`KF_PIPELINES_SA_TOKEN_PATH`), if it does.
        token: A bearer token from elsewhere; it goes before a mounted one.
        cookies: Of a browser that has logged in: "name=value; name=value".
    """

    token_file: Path | None = None
    token: str = ""
    cookies: str = ""

    def checked(self) -> "Caller":
        """Returns the caller with the file that its token is read from; raises CallerError for what is unusable."""
        if self.token_file and self.token:
            raise CallerError(
                "received a token and a file with one; give one of --token-file and --existing-token "
                "(CRACKGATE_KFP_TOKEN)"
            )
        if self.token and not _TOKEN.fullmatch(self.token):
            raise CallerError(
                "--existing-token: received blanks or other characters that no token has; give the token alone"
            )
        if self.cookies and not _COOKIES.fullmatch(self.cookies):
            raise CallerError("--cookies: received no cookies; allowed are 'name=value; name=value', as a browser has")
        file = self.token_file or (None if self.token else _mounted_token())
        if file:
            _check_token_file(file)
        return Caller(file, self.token, self.cookies)


def connect(host: str, namespace: str | None, caller: Caller) -> kfp.Client:
    """Returns a client that the API's URL `host` listens to.

    Args:
        host: URL of the API.
        namespace: Of a user's profile; None on a cluster of one user, or in a pod of the profile itself.
        caller: Who asks.

    Raises:
        CallerError: The token or the cookies cannot be sent.
        ConnectionToKubeflowError: The API is away, refuses the caller, or has other users than the namespace says.
    """
    caller = caller.checked()

    def client(of_namespace: str) -> kfp.Client:
        return kfp.Client(
            host=host,
            namespace=of_namespace,
            existing_token=caller.token or None,
            cookies=caller.cookies or None,
            credentials=ServiceAccountTokenVolumeCredentials(str(caller.token_file)) if caller.token_file else None,
        )

    try:
        health, _, headers = client(_UNASKED)._healthz_api.healthz_service_get_healthz_with_http_info()
    except Exception as error:  # kfp lets through what urllib3 and its generated client raise
        raise ConnectionToKubeflowError(describe_refusal(error, host, namespace)) from error
    if headers.get("Content-Type", "").startswith("text/html"):
        raise ConnectionToKubeflowError(
            f"{host} answers with a web page, most likely to log in: {_WAYS_IN}; or --host is not the URL of Kubeflow "
            "Pipelines, which ends with /pipeline behind Kubeflow's gateway"
        )
    if namespace and not health.multi_user:
        raise ConnectionToKubeflowError(
            f"--namespace: received {namespace!r}, but {host} serves a single user, who has one namespace: leave it out"
        )
    found = client(namespace or "kubeflow")
    if health.multi_user and not found.get_user_namespace():
        raise ConnectionToKubeflowError(f"{host} serves several users: give the profile's name as --namespace")
    return found


_WAYS_IN = (
    "give --token-file ('kubectl create token default-editor --namespace PROFILE --audience pipelines.kubeflow.org' "
    "makes a token), or --cookies of a browser that is logged in"
)


def is_refusal(error: Exception) -> bool:
    """Returns whether the API refused who asks, so that asking again is of no use."""
    return getattr(error, "status", None) in _REFUSED


def describe_refusal(error: Exception, host: str, namespace: str | None) -> str:
    """Returns in one line what the API's client raised, and what to do."""
    status = getattr(error, "status", None)
    reason = _reason(error)
    if status == 401:
        return f"{host} does not know who asks (401 {reason}): {_WAYS_IN}"
    if status == 403:
        where = f"namespace {namespace!r}" if namespace else "the namespace"
        return (
            f"{host} does not let this caller do that (403 {reason}): ask for the role kubeflow-edit in {where}, or "
            "give another token or cookies (--token-file, --existing-token, --cookies)"
        )
    if isinstance(error, kfp_server_api.ApiException) and status:
        return f"{host} refused ({status} {reason})"
    return (
        f"{host} cannot be reached: {type(error).__name__}: {reason}. --host is the URL of Kubeflow Pipelines, "
        "for example http://localhost:8080 after 'kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80'"
    )


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, kfp_server_api.ApiException):
        body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or "")
        try:
            content = json.loads(body)
            text = str(content.get("message") or content.get("error") or error.reason)
        except (ValueError, AttributeError):
            # A gateway's own words, such as Istio's "RBAC: access denied", but no page.
            text = error.reason or "" if body.lstrip().startswith("<") or not body else body
    return " ".join(text.split())[:500]


def _mounted_token() -> Path | None:
    if named := os.environ.get(KF_PIPELINES_SA_TOKEN_ENV):
        return Path(named)
    mounted = Path(KF_PIPELINES_SA_TOKEN_PATH)
    return mounted if mounted.exists() else None


def _check_token_file(file: Path) -> None:
    where = f"--token-file, or {KF_PIPELINES_SA_TOKEN_ENV}: {str(file)!r}"
    try:
        content = file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise CallerError(f"{where} cannot be read: {error.strerror}; give a file with a token") from None
    except UnicodeDecodeError:
        content = ""
    if not _TOKEN.fullmatch(content):
        raise CallerError(f"{where} holds no token, which is one line without blanks")
