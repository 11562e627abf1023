"""`crackgate kubeflow submit` with kfp's own client, against a server that speaks Kubeflow's REST interface."""

import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from crackgate_cli.main import app
from tests.helpers import kfp_api
from tests.helpers.argo_nodes import TASKS, Fate, task_details

kfp = pytest.importorskip("kfp")


@pytest.fixture(scope="module")
def pipeline_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline with our tasks' names and parameters, and nothing in them."""
    from kfp import compiler, components, dsl

    def component(name: str) -> Any:
        container = "{container: {image: python, command: [echo]}}"
        return components.load_component_from_text(f"name: {name}\nimplementation: {container}")

    @dsl.pipeline(name="small")
    def small(workspace: str = "/workspace", data: str = "/data"):  # type: ignore[no-untyped-def]  # noqa: ARG001
        with dsl.ExitHandler(component("report")(), name="run"):
            for name in TASKS:
                component(name)()

    file = tmp_path_factory.mktemp("small") / "pipeline.yaml"
    compiler.Compiler().compile(small, str(file))
    return file


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubeflow.submission._INTERVAL", 0.01)


def submit(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(app, ["kubeflow", "submit", *map(str, arguments)], env=environment)


@pytest.mark.parametrize(
    ("state", "details", "exit_code", "said"),
    [
        ("SUCCEEDED", task_details({}), 0, []),
        ("FAILED", task_details({"verdict": Fate.EXITED}), 3, ["verdict: no model is released"]),
        ("FAILED", task_details({"leak-check": Fate.EXITED}), 4, ["leak-check: the data did not pass its check"]),
        ("FAILED", task_details({"trainer": Fate.KILLED}, Fate.EXITED), 1, ["trainer: failed", "report: failed"]),
        (
            "FAILED",
            task_details({"verdict": Fate.DRIVER_FAILED}, Fate.EXITED),
            1,
            ["verdict: never began: the pod verdict-driver, with which Kubeflow prepares it, failed"],
        ),
        ("CANCELED", task_details({"trainer": Fate.RUNNING}, Fate.OMITTED), 1, []),
    ],
    ids=["released", "refused", "rejected", "broken", "driver", "cancelled"],
)
def test_the_exit_code_is_that_of_the_verdict(
    pipeline_file: Path, state: str, details: list[dict[str, Any]], exit_code: int, said: list[str]
) -> None:
    # The server is away for a moment, which ends no wait.
    with kfp_api.serving([("PENDING", []), ("RUNNING", []), None, (state, details)]) as api:
        result = submit(pipeline_file, "--host", api.url)
    assert result.exit_code == exit_code, result.output
    lines = result.output.splitlines()
    released = "RELEASED, STAGED or UNCHANGED: the task 'report' shows which"
    verdict = {0: released, 1: "FAILED", 3: "REFUSED", 4: "DATA REJECTED"}[exit_code]
    assert verdict in lines and f"{api.url}/#/runs/details/{kfp_api.RUN_ID}" in lines
    assert set(said) <= set(lines)
    # Nodes of Argo that are no tasks of the file.
    assert not any(line.startswith(("root", "exit-handler", "executor", "crackgate-")) for line in lines)


def test_the_end_of_the_report_is_waited_for(pipeline_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The API server stores the run's state, then those of its tasks.
    early = ("SUCCEEDED", task_details({}, Fate.RUNNING))
    with kfp_api.serving([early, early, ("SUCCEEDED", task_details({}))]) as api:
        assert submit(pipeline_file, "--host", api.url).exit_code == 0
        assert len(api.answers) == 1
    # For a while.
    monkeypatch.setattr("kubeflow.submission._BEHIND", 0.1)
    with kfp_api.serving([early]) as api:
        result = submit(pipeline_file, "--host", api.url)
    assert result.exit_code == 1 and "SUCCEEDED of verdict and RUNNING of report: no verdict follows" in result.output


def test_parameters_names_and_the_experiment_reach_the_server_and_no_wait_returns_at_once(pipeline_file: Path) -> None:
    with kfp_api.serving([("RUNNING", [])]) as api:
        options = ("--experiment", "cracks", "--run-name", "by hand", "--parameter", "data=/data/b=c", "--no-wait")
        result = submit(pipeline_file, "--host", api.url, *options)
    assert result.exit_code == 0, result.output
    (run,) = api.started
    assert (run["display_name"], run["experiment_id"]) == ("by hand", "e1")
    assert run["runtime_config"]["parameters"] == {"data": "/data/b=c"}
    assert run["pipeline_spec"]["pipelineInfo"]["name"] == "small"


PROFILES = {"Bearer good": "team", "oauth2_proxy_kubeflow=good": "team"}


@pytest.mark.parametrize("way", ["file", "mounted", "option", "environment", "cookies", "cookies in the environment"])
def test_several_users_are_known_by_what_kfp_knows_them_by(pipeline_file: Path, tmp_path: Path, way: str) -> None:
    token = tmp_path / "token"
    token.write_text("good\n")
    options, environment = {
        "file": (["--token-file", token], {}),
        "mounted": ([], {"KF_PIPELINES_SA_TOKEN_PATH": str(token)}),
        "option": (["--existing-token", "good"], {}),
        "environment": ([], {"CRACKGATE_KFP_TOKEN": "good"}),
        "cookies": (["--cookies", "oauth2_proxy_kubeflow=good"], {}),
        "cookies in the environment": ([], {"CRACKGATE_KFP_COOKIES": "oauth2_proxy_kubeflow=good"}),
    }[way]
    with kfp_api.serving([("RUNNING", []), ("SUCCEEDED", task_details({}))], PROFILES) as api:
        result = submit(pipeline_file, "--host", api.url, "--namespace", "team", *options, **environment)
    assert result.exit_code == 0, result.output
    assert api.namespaces == {"team"} and len(api.started) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--namespace", "team"], "does not know who asks (401 there is no user identity header): give --token-file"),
        (["--namespace", "team", "--existing-token", "bad"], "does not know who asks (401"),
        (
            ["--namespace", "other", "--existing-token", "good"],
            "(403 User 'me' is not authorized in other): ask for the role kubeflow-edit in namespace 'other'",
        ),
        (["--existing-token", "good"], "serves several users: give the profile's name as --namespace"),
    ],
    ids=["nobody", "a wrong token", "another's namespace", "no namespace"],
)
def test_a_refusal_is_one_line_with_what_to_do(pipeline_file: Path, options: list[str], said: str) -> None:
    with kfp_api.serving([("RUNNING", [])], PROFILES) as api:
        result = submit(pipeline_file, "--host", api.url, *options)
    assert result.exit_code == 1 and api.started == []
    (line,) = result.output.splitlines()
    assert said in line


def test_a_page_to_log_in_is_no_run(pipeline_file: Path) -> None:
    with kfp_api.serving([("RUNNING", [])], PROFILES, login_page=True) as api:
        result = submit(pipeline_file, "--host", api.url, "--namespace", "team", "--no-wait")
    (line,) = result.output.splitlines()
    assert result.exit_code == 1 and "answers with a web page, most likely to log in: give --token-file" in line


def test_a_token_that_ends_before_the_run_is_said_at_once_and_a_fresh_one_is_read(
    pipeline_file: Path, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("good")
    with kfp_api.serving([("RUNNING", [])], PROFILES) as api:
        options = ("--host", api.url, "--namespace", "team", "--token-file", token)
        ended = threading.Timer(1, token.write_text, ["bad"])
        ended.start()
        result = submit(pipeline_file, *options)
        ended.join()
    assert result.exit_code == 1 and "which goes on" in result.output and "does not know who asks (401" in result.output


def test_a_namespace_is_refused_where_there_is_one_user(pipeline_file: Path) -> None:
    with kfp_api.serving([("RUNNING", [])]) as api:
        result = submit(pipeline_file, "--host", api.url, "--namespace", "team")
    assert result.exit_code == 1 and "received 'team'" in result.output and "leave it out" in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--token-file", "none"], "'none' cannot be read: No such file"),
        (["--token-file", "."], "cannot be read: Is a directory"),
        (["--existing-token", "a\nb"], "--existing-token: received blanks"),
        (["--existing-token", "a", "--token-file", "b"], "received a token and a file"),
        (["--cookies", "good"], "received no cookies"),
    ],
    ids=["no file", "a folder", "two lines", "both", "no cookies"],
)
def test_what_nobody_can_be_known_by_is_refused(pipeline_file: Path, options: list[str], said: str) -> None:
    result = submit(pipeline_file, "--host", "http://127.0.0.1:1", *options)
    assert result.exit_code == 2 and said in result.output


def test_a_run_that_does_not_end_in_time_goes_on(pipeline_file: Path) -> None:
    with kfp_api.serving([("RUNNING", [])]) as api:
        result = submit(pipeline_file, "--host", api.url, "--timeout", "1")
    assert result.exit_code == 1 and "has not ended within 1 s; it goes on" in result.output


def test_what_cannot_be_submitted_is_said(pipeline_file: Path, tmp_path: Path) -> None:
    result = submit(pipeline_file, "--host", "http://127.0.0.1:1")
    assert result.exit_code == 1 and "cannot be reached" in result.output and "port-forward" in result.output

    result = submit(pipeline_file, "--host", "http://127.0.0.1:1", "--parameter", "date=/data")
    assert result.exit_code == 2 and "received 'date=/data', allowed are workspace=PATH" in result.output

    result = submit(pipeline_file, "--host", "http://127.0.0.1:1", "--parameter", "data=$(MLMD_PASSWORD)")
    assert result.exit_code == 2 and "received 'data=$(MLMD_PASSWORD)': give an absolute path" in result.output

    (tmp_path / "old.yaml").write_text(pipeline_file.read_text().replace("2.1.0", "2.0.0"))
    result = submit(tmp_path / "old.yaml", "--host", "http://127.0.0.1:1")
    assert result.exit_code == 2 and "schemaVersion is '2.0.0'" in result.output

    result = submit(tmp_path / "none.yaml", "--host", "http://127.0.0.1:1")
    assert result.exit_code == 2 and "'crackgate kubeflow compile' writes it" in result.output


def test_what_cannot_be_run_here_is_said(pipeline_file: Path, tmp_path: Path) -> None:
    def run_local(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["kubeflow", "run-local", *map(str, arguments)])

    quoted = tmp_path / 'a"b'
    quoted.mkdir()
    result = run_local(pipeline_file, "--data", quoted)
    assert result.exit_code == 2 and "--data: received" in result.output and "give an absolute path" in result.output

    (tmp_path / "claim.yaml").write_text("kind: PersistentVolumeClaim")
    (tmp_path / "packed.yaml").write_bytes(b"\x1f\x8b\x08\xff")
    for wrong in ("claim.yaml", "packed.yaml"):
        result = run_local(tmp_path / wrong, "--data", tmp_path, "--workspace", tmp_path / "workspace")
        assert result.exit_code == 2 and "would refuse" in result.output
        assert "'crackgate kubeflow compile'" in result.output and not (tmp_path / "workspace").exists()

    result = run_local(pipeline_file, "--data", tmp_path, "--workspace", tmp_path / "claim.yaml" / "inner")
    assert result.exit_code == 2 and "cannot be written to: Not a directory" in result.output


def test_what_cannot_be_compiled_is_said(tmp_path: Path) -> None:
    def compile_with(*options: object) -> Result:
        return CliRunner().invoke(app, ["kubeflow", "compile", *map(str, options)])

    classes = ("--set", 'data.classes=["Negative", "Positive"]')
    assert "data.classes: received none" in compile_with().output
    assert "kubeflow.image: received ''" in compile_with(*classes).output
    assert "names that end with .yaml" in compile_with(*classes, "-o", tmp_path / "pipeline.json").output
    image = ("--set", "kubeflow.image=x")
    assert "whose folder does not exist" in compile_with(*classes, *image, "-o", tmp_path / "no" / "p.yaml").output
    secret = ("--set", "kubeflow.signing_secret=crackgate-signing")
    assert "received 'crackgate-signing' with release.signing_key ''" in compile_with(*classes, *image, *secret).output
    for path in ("/etc/crackgate/signing/release.key", "release.key"):
        refused = compile_with(*classes, *image, "--set", f"release.signing_key={path}")
        assert f"kubeflow.signing_secret: received '' with release.signing_key '{path}'" in refused.output
    # What the server's driver would make of it is found out when the file is there.
    volumes = ("--set", 'kubeflow.volumes=[{claim = "crackgate-mlmd", mount = "/workspace"}]')
    refused = compile_with(*classes, *image, *volumes, "-o", tmp_path / "pipeline.yaml")
    assert refused.exit_code == 2 and "several volumes would be called crackgate-mlmd" in refused.output
    assert "is no folder" in compile_with("--data", tmp_path / "photographs").output
    assert compile_with().exit_code == 2
