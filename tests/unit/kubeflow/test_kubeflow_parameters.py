"""What a run gives and how a verdict is read from states."""

from types import SimpleNamespace

import pytest

from kubeflow.task.parameters import ParameterError, RunParameters, as_file_path, check_data_folder


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("/data", "/data"),
        ("/data/", "/data"),
        ("gs://photos", "/gcs/photos"),
        ("gs://photos-2024.eu/site b/", "/gcs/photos-2024.eu/site b"),
        ("/", "/"),
    ],
)
def test_buckets_are_read_where_cloud_storage_fuse_shows_them(given: str, found: str) -> None:
    assert as_file_path("data", given) == found


@pytest.mark.parametrize(
    "given", ["", "data", "s3://photos", "gs:/photos", "gs://", '/a"b', "/a\\b", "/a\nb", "~/data"]
)
def test_other_places_are_refused_by_name(given: str) -> None:
    with pytest.raises(ParameterError) as refused:
        as_file_path("data", given)
    assert str(refused.value).startswith(f"data: received {given!r}: give an absolute path")


def test_the_serving_folder_may_be_said_relative_to_the_workspace() -> None:
    assert RunParameters("gs://bkt/w/", "/d", "serving").resolved() == RunParameters(
        "/gcs/bkt/w", "/d", "/gcs/bkt/w/serving"
    )
    assert RunParameters("/w", "/d", "gs://models/cracks").resolved().serving == "/gcs/models/cracks"


def test_a_volume_that_is_not_mounted_is_no_folder_without_images(tmp_path) -> None:
    check_data_folder(RunParameters("/w", str(tmp_path), "/s"))
    with pytest.raises(ParameterError, match=r"is no folder.*kubeflow\.volumes"):
        check_data_folder(RunParameters("/w", str(tmp_path / "photographs"), "/s"))


def tasks(**states: str) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(display_name=name.replace("_", "-"), state=state)
        for name, found in states.items()
        for state in found.split()
    ]


@pytest.mark.parametrize(
    ("run_state", "found", "verdict", "exit_code", "failed"),
    [
        ("SUCCEEDED", tasks(trainer="SUCCEEDED", verdict="SUCCEEDED", report="SUCCEEDED"), "released", 0, ()),
        # The first attempt at Trainer failed.
        ("SUCCEEDED", tasks(trainer="FAILED SUCCEEDED", report="SUCCEEDED"), "released", 0, ()),
        ("FAILED", tasks(verdict="FAILED FAILED", report="SUCCEEDED"), "refused", 3, ("verdict",)),
        ("FAILED", tasks(data_gate="FAILED", report="SUCCEEDED"), "data rejected", 4, ("data-gate",)),
        ("FAILED", tasks(trainer="FAILED", report="FAILED"), "failed", 1, ("report", "trainer")),
        # Released and then removed: the verdict fails, and the report knows that this is no missed gate.
        ("FAILED", tasks(verdict="FAILED", report="FAILED"), "failed", 1, ("report", "verdict")),
        ("FAILED", tasks(image_example_gen="FAILED"), "failed", 1, ("image-example-gen",)),
        ("CANCELED", tasks(trainer="FAILED", report="SUCCEEDED"), "failed", 1, ("trainer",)),
        ("FAILED", [], "failed", 1, ()),
    ],
)
def test_the_verdict_is_read_from_the_states_of_the_tasks(
    run_state: str, found: list[SimpleNamespace], verdict: str, exit_code: int, failed: tuple[str, ...]
) -> None:
    pytest.importorskip("kfp")
    from crackgate.contracts.verdict import EXIT_CODES
    from kubeflow.outcome import read_outcome

    read, tasks_failed = read_outcome(run_state, found)
    assert (read, EXIT_CODES[read], tasks_failed) == (verdict, exit_code, failed)
