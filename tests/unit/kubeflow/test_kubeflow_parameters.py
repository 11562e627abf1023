"""What a run gives."""

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
