"""What a run gives."""

from pathlib import Path

import pytest

from kubeflow.task.credentials import take_credentials
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
    assert as_file_path("workspace", given) == found


@pytest.mark.parametrize(
    "given", ["", "data", "s3://photos", "gs:/photos", "gs://", '/a"b', "/a\\b", "/a\nb", "~/data"]
)
def test_other_places_are_refused_by_name(given: str) -> None:
    with pytest.raises(ParameterError) as refused:
        as_file_path("workspace", given)
    assert str(refused.value).startswith(f"workspace: received {given!r}: give an absolute path")


@pytest.mark.parametrize("url", ["s3://photos/site A/#1", "gs://photos", "az://photos/2024"])
def test_images_are_read_from_a_bucket_itself(url: str) -> None:
    parameters = RunParameters("/w", f"{url}/", "/s").resolved()
    assert parameters.data == url
    check_data_folder(parameters)


@pytest.mark.parametrize("given", ["data", "http://host/photos", "s3://", 's3://photos/"a', "s3://photos/{{a}}"])
def test_no_other_url_is_a_place_of_images(given: str) -> None:
    with pytest.raises(ParameterError, match=r"data: received .*(allowed are a path|give an absolute path)"):
        RunParameters("/w", given, "/s").resolved()


def test_keys_of_the_secret_become_variables_and_files_stay_files(tmp_path: Path) -> None:
    (tmp_path / "AWS_ACCESS_KEY_ID").write_text("somebody\n")
    (tmp_path / "key.json").write_text("{}")
    (tmp_path / "..data").mkdir()
    environment: dict[str, str] = {}
    take_credentials(tmp_path, environment)
    take_credentials(tmp_path / "absent", environment)
    assert environment == {"AWS_ACCESS_KEY_ID": "somebody"}


def test_the_serving_folder_may_be_said_relative_to_the_workspace() -> None:
    assert RunParameters("gs://bkt/w/", "/d", "serving").resolved() == RunParameters(
        "/gcs/bkt/w", "/d", "/gcs/bkt/w/serving"
    )
    assert RunParameters("/w", "/d", "gs://models/cracks").resolved().serving == "/gcs/models/cracks"


def test_a_volume_that_is_not_mounted_is_no_folder_without_images(tmp_path) -> None:
    check_data_folder(RunParameters("/w", str(tmp_path), "/s"))
    with pytest.raises(ParameterError, match=r"is no folder.*kubeflow\.volumes"):
        check_data_folder(RunParameters("/w", str(tmp_path / "photographs"), "/s"))
