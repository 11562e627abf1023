"""`crackgate kubeflow submit` with kfp's own client, against a server that speaks Kubeflow's REST interface."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from crackgate_cli.main import app
from tests.helpers import kfp_api

kfp = pytest.importorskip("kfp")


@pytest.fixture(scope="module")
def pipeline_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest pipeline that takes our parameters."""
    from kfp import compiler, dsl

    @dsl.component(base_image="python", install_kfp_package=False)
    def report(workspace: str, data: str):  # type: ignore[no-untyped-def]
        print(workspace, data)

    @dsl.pipeline(name="small")
    def small(workspace: str = "/workspace", data: str = "/data"):  # type: ignore[no-untyped-def]
        report(workspace=workspace, data=data)

    file = tmp_path_factory.mktemp("small") / "pipeline.yaml"
    compiler.Compiler().compile(small, str(file))
    return file


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubeflow.submission._INTERVAL", 0.01)


def submit(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["kubeflow", "submit", *map(str, arguments)])


@pytest.mark.parametrize(
    ("state", "tasks", "exit_code", "said"),
    [
        ("SUCCEEDED", {"verdict": "SUCCEEDED", "report": "SUCCEEDED"}, 0, "RELEASED"),
        ("FAILED", {"verdict": "FAILED", "report": "SUCCEEDED"}, 3, "REFUSED"),
        ("FAILED", {"leak-check": "FAILED", "report": "SUCCEEDED"}, 4, "DATA REJECTED"),
        ("FAILED", {"trainer": "FAILED", "report": "FAILED"}, 1, "FAILED"),
        ("CANCELED", {}, 1, "FAILED"),
    ],
)
def test_the_exit_code_is_that_of_the_verdict(
    pipeline_file: Path, state: str, tasks: dict[str, str], exit_code: int, said: str
) -> None:
    # The server is away for a moment, which ends no wait.
    with kfp_api.serving([("PENDING", {}), ("RUNNING", {}), None, (state, tasks)]) as api:
        result = submit(pipeline_file, "--host", api.url)
    assert result.exit_code == exit_code, result.output
    lines = result.output.splitlines()
    assert said in lines and f"{api.url}/#/runs/details/{kfp_api.RUN_ID}" in lines
    assert all(name in result.output for name, seen in tasks.items() if seen == "FAILED")


def test_parameters_names_and_the_experiment_reach_the_server_and_no_wait_returns_at_once(pipeline_file: Path) -> None:
    with kfp_api.serving([("RUNNING", {})]) as api:
        options = ("--experiment", "cracks", "--run-name", "by hand", "--parameter", "data=/data/b=c", "--no-wait")
        result = submit(pipeline_file, "--host", api.url, *options)
    assert result.exit_code == 0, result.output
    (run,) = api.started
    assert (run["display_name"], run["experiment_id"]) == ("by hand", "e1")
    assert run["runtime_config"]["parameters"] == {"data": "/data/b=c"}
    assert run["pipeline_spec"]["pipelineInfo"]["name"] == "small"


def test_a_run_that_does_not_end_in_time_goes_on(pipeline_file: Path) -> None:
    with kfp_api.serving([("RUNNING", {})]) as api:
        result = submit(pipeline_file, "--host", api.url, "--timeout", "1")
    assert result.exit_code == 1 and "has not ended within 1 s; it goes on" in result.output


def test_what_cannot_be_submitted_is_said(pipeline_file: Path, tmp_path: Path) -> None:
    result = submit(pipeline_file, "--host", "http://127.0.0.1:1")
    assert result.exit_code == 1 and "did not take the run" in result.output and "port-forward" in result.output

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
    result = run_local(tmp_path / "claim.yaml", "--data", tmp_path, "--workspace", tmp_path / "workspace")
    assert result.exit_code == 2 and "would refuse" in result.output and "'crackgate kubeflow compile'" in result.output
    assert not (tmp_path / "workspace").exists()

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
