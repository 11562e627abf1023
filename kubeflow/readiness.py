"""The readiness of a cluster for a compiled pipeline: what can be asked before a run is asked, the rest is named."""

import base64
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import kfp
from kubernetes import client as k8s
from kubernetes import config as k8s_config

from kubeflow.compiled_needs import Needs
from kubeflow.connection import describe_refusal
from kubeflow.task.metadata_store import HOST

# Of Kubeflow Pipelines, for which `kubeflow.compile.backend_checks` holds.
_VERSIONS = ((2, 14), (2, 17))
_NOT_FOUND, _FORBIDDEN = 404, 403
# Seconds for each question to Kubernetes.
_PATIENCE = 10
# Kubeflow's service account of the tasks, with one user and in a profile.
_ACCOUNT, _ACCOUNT_OF_PROFILE = "pipeline-runner", "default-editor"


class Readiness(StrEnum):
    """What a look at the cluster found."""

    THERE = "ok"
    MISSING = "missing"
    UNCHECKED = "unchecked"


@dataclass(frozen=True)
class Look:
    """One look: its answer, and a sentence with what was found and what to do."""

    answer: Readiness
    sentence: str


class _NoClusterError(Exception):
    """There is no way to Kubernetes from here."""


def look_at_kubeflow(client: kfp.Client, host: str, namespace: str | None) -> Iterator[Look]:
    """Asks Kubeflow Pipelines' API for its version and for the right to see runs."""
    yield _look_at_version(client)
    try:
        client.list_runs(page_size=1, namespace=namespace)
        yield Look(Readiness.THERE, f"{host} shows this caller the runs")
    except Exception as error:  # kfp lets through what urllib3 and its generated client raise
        yield Look(Readiness.MISSING, describe_refusal(error, host, namespace))


def _look_at_version(client: kfp.Client) -> Look:
    oldest, newest = (".".join(map(str, version)) for version in _VERSIONS)
    try:
        # Only the older interface tells its version.
        answer, _, _ = client._healthz_api.api_client.call_api(
            "/apis/v1beta1/healthz", "GET", response_type="object", _request_timeout=_PATIENCE
        )
        told = str(answer.get("tag_name") or "")
    except Exception:  # as above: an API without that interface
        told = ""
    numbers = re.match(r"v?(\d+)\.(\d+)", told)
    if numbers is None:
        return Look(
            Readiness.UNCHECKED, f"Kubeflow Pipelines does not tell its version; {oldest} to {newest} are known"
        )
    if not _VERSIONS[0] <= (int(numbers[1]), int(numbers[2])) <= _VERSIONS[1]:
        return Look(
            Readiness.MISSING,
            f"Kubeflow Pipelines is {told}, and crackgate's file is for {oldest} to {newest}: upgrade",
        )
    return Look(Readiness.THERE, f"Kubeflow Pipelines {told}, kfp {kfp.__version__} here")


def look_at_kubernetes(needs: Needs, namespace: str | None) -> Iterator[Look]:
    """Asks Kubernetes' API, through a kubeconfig or from inside a pod, for claims, Secrets, store and service account.

    `namespace` is a profile's; None stands for that of a single user, "kubeflow".
    """
    place = namespace or "kubeflow"
    try:
        core = k8s.CoreV1Api(_connect())
    except _NoClusterError as error:
        named = ", ".join([*needs.claims, *needs.secrets, *needs.pull_secrets])
        yield Look(Readiness.UNCHECKED, f"Kubernetes cannot be asked for {named} in {place!r}: {error}")
    else:
        for claim in needs.claims:
            yield _ask(core.read_namespaced_persistent_volume_claim, "claim", claim, place, _fault_of_claim)
        for secret, keys in needs.secrets.items():
            yield _ask(core.read_namespaced_secret, "Secret", secret, place, partial(_lack, keys))
        for secret in needs.pull_secrets:
            yield _ask(core.read_namespaced_secret, "Secret", secret, place, _fault_of_pull_secret)
        if needs.store_secret:
            yield from _look_at_store(core, needs.store_secret, place)
        account = _ACCOUNT_OF_PROFILE if namespace else _ACCOUNT
        yield _ask(core.read_namespaced_service_account, "service account", account, place)
    for image in needs.images:
        yield Look(
            Readiness.UNCHECKED,
            f"the image {image!r}: only a node can tell that it can be pulled, and only a task whether it holds the "
            "sources that the file was compiled with",
        )


def _connect() -> k8s.ApiClient:
    named = os.environ.get("KUBECONFIG") or None
    try:
        found: k8s.ApiClient = k8s_config.new_client_from_config(config_file=named)
        return found
    except Exception as fault:  # what its reader, YAML and a file of another form raise
        inside = k8s.Configuration()
        try:
            k8s_config.load_incluster_config(client_configuration=inside)
        except k8s_config.ConfigException:
            raise _NoClusterError(f"no usable kubeconfig ({_one_line(fault)}), and this is no pod") from None
        return k8s.ApiClient(inside)


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _ask(
    read: Callable[..., Any], kind: str, name: str, namespace: str, fault_of: Callable[[Any], str] = lambda _: ""
) -> Look:
    what = f"the {kind} {name!r} in {namespace!r}"
    try:
        fault = fault_of(read(name, namespace, _request_timeout=_PATIENCE))
    except k8s.ApiException as error:
        if error.status == _NOT_FOUND:
            return Look(Readiness.MISSING, f"{what} is not there: make it, as docs/kubeflow.md shows")
        if error.status == _FORBIDDEN:
            return Look(Readiness.UNCHECKED, f"{what}: this user may not look at it")
        return Look(Readiness.UNCHECKED, f"{what}: Kubernetes answered {error.status} {error.reason}")
    except Exception as error:  # urllib3's, and what it lets through
        return Look(Readiness.UNCHECKED, f"{what}: Kubernetes cannot be reached: {type(error).__name__}")
    return Look(Readiness.MISSING, f"{what} {fault}") if fault else Look(Readiness.THERE, what)


def _fault_of_claim(claim: Any) -> str:
    if claim.status.phase == "Lost":
        return "has lost its volume: restore the volume, or make the claim anew"
    return ""  # one that is Pending may wait for its first pod


def _lack(keys: tuple[str, ...], secret: Any) -> str:
    lacking = [key for key in keys if not (secret.data or {}).get(key)]
    if lacking:
        return f"lacks {', '.join(lacking)}: add them as keys"
    return "" if secret.data else "has no key: add what docs/kubeflow.md shows for it"


def _fault_of_pull_secret(secret: Any) -> str:
    if secret.type in ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"):
        return ""
    return f"has the type {secret.type!r}: make it with 'kubectl create secret docker-registry'"


def _look_at_store(core: k8s.CoreV1Api, secret: str, namespace: str) -> Iterator[Look]:
    """Looks whether a pod serves behind the Service that the Secret names; another host is not of this cluster."""
    try:
        data = core.read_namespaced_secret(secret, namespace, _request_timeout=_PATIENCE).data or {}
        host = base64.b64decode(data.get(HOST, "")).decode("utf-8").strip()
    except Exception:  # the look at the Secret itself has said why
        return
    name, _, rest = host.partition(".")
    if not host or (rest and rest.split(".")[0] != namespace):
        if host:
            yield Look(Readiness.UNCHECKED, f"the metadata store {host!r}: only a task can tell that it answers")
        return
    yield _ask(core.read_namespaced_endpoints, "metadata store's Service", name, namespace, _fault_of_endpoints)


def _fault_of_endpoints(endpoints: Any) -> str:
    if any(subset.addresses for subset in endpoints.subsets or ()):
        return ""
    return "has no pod that is ready: look at 'kubectl get pods' and the store's log"
