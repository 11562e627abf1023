"""From a profile to Beam's arguments, and what is found before a run."""

import socket
from pathlib import Path

import pytest

from crackgate.config.beam import BeamOptions
from crackgate.config.configuration import ConfigError, load_config
from crackgate.images.image_folder import find_files
from pipeline import beam_profiles
from pipeline.beam_profiles import beam_pipeline_args, check_beam, count_reader_processes, resolve_profile


def _folder(root: Path, images: int) -> Path:
    for number in range(images):
        file = root / "Positive" / f"{number}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.touch()
    return root


def test_local_is_one_process_and_local_parallel_one_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam_profiles, "_cores", lambda: 3)
    assert "--direct_running_mode=in_memory" in beam_pipeline_args(BeamOptions(profile="local"))
    parallel = beam_pipeline_args(BeamOptions(profile="local-parallel"))
    assert {"--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=3"} <= set(parallel)
    assert "--direct_num_workers=5" in beam_pipeline_args(BeamOptions(profile="local-parallel", workers=5))


@pytest.mark.parametrize(("images", "cores", "profile"), [(5, 2, "local"), (6, 2, "local-parallel"), (6, 1, "local")])
def test_auto_is_parallel_from_so_many_images_on_where_there_is_a_second_core(
    images: int, cores: int, profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam_profiles, "PARALLEL_FROM", 6)
    monkeypatch.setattr(beam_profiles, "_cores", lambda: cores)
    assert resolve_profile(BeamOptions(), _folder(tmp_path, images)) == profile


def test_auto_stops_counting_when_it_knows_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def counted(folder: Path):
        for file in find_files(folder):
            taken.append(file)
            yield file

    monkeypatch.setattr(beam_profiles, "PARALLEL_FROM", 3)
    monkeypatch.setattr(beam_profiles, "find_files", counted)
    resolve_profile(BeamOptions(), _folder(tmp_path, 10))
    assert len(taken) <= 3


def test_auto_does_as_workers_says_and_without_a_folder_at_hand_it_is_local(tmp_path: Path) -> None:
    assert resolve_profile(BeamOptions(workers=1), tmp_path) == "local"
    assert resolve_profile(BeamOptions(workers=2), tmp_path) == "local-parallel"
    assert resolve_profile(BeamOptions()) == resolve_profile(BeamOptions(), tmp_path / "elsewhere") == "local"


@pytest.mark.parametrize(
    ("images", "cores", "options", "readers"),
    [
        (6, 2, BeamOptions(), 1),
        (6, 16, BeamOptions(profile="local"), 3),
        (6, 1, BeamOptions(), 0),
        (5, 2, BeamOptions(), 0),
        (6, 2, BeamOptions(workers=1), 0),
        (6, 2, BeamOptions(profile="local-parallel"), 0),
        (6, 2, BeamOptions(profile="flink"), 0),
    ],
)
def test_the_further_cores_help_where_one_process_reads_many_images(
    images: int, cores: int, options: BeamOptions, readers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam_profiles, "_READERS_FROM", 6)
    monkeypatch.setattr(beam_profiles, "_cores", lambda: cores)
    assert count_reader_processes(options, _folder(tmp_path, images)) == readers


def test_one_line_switches_to_flink() -> None:
    arguments = beam_pipeline_args(load_config(None, ["beam.profile=flink"]).beam)
    assert {
        "--runner=PortableRunner",
        "--job_endpoint=localhost:8099",
        "--environment_type=EXTERNAL",
        "--environment_config=localhost:50000",
    } <= set(arguments)
    assert not any(argument.startswith("--parallelism") for argument in arguments)


def test_flink_takes_its_parallelism_and_raw_arguments_come_last() -> None:
    options = BeamOptions(profile="flink", parallelism=64, args=("--parallelism=8",))
    arguments = beam_pipeline_args(options)
    assert arguments.index("--parallelism=64") < arguments.index("--parallelism=8") == len(arguments) - 1


def test_beam_itself_understands_the_arguments_of_every_profile() -> None:
    from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

    spark = PipelineOptions(beam_pipeline_args(BeamOptions(profile="spark", worker_pool="pool:1")))
    assert spark.view_as(PortableOptions).environment_config == "pool:1"
    assert int(spark.view_as(PortableOptions).environment_cache_millis) == 5_000


def test_a_job_server_that_is_not_there_is_found_at_once_with_what_to_do() -> None:
    with socket.socket() as unused:
        unused.bind(("localhost", 0))
        endpoint = f"localhost:{unused.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"no Beam job server answers at '{endpoint}' .*make flink-up"):
            check_beam(BeamOptions(profile="flink", job_endpoint=endpoint), [])


def test_a_local_disk_is_warned_of_when_the_job_server_is_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam_profiles, "_ask_job_server", lambda _options: None)
    monkeypatch.setattr(beam_profiles, "_file_system", lambda path: "ext4" if path == tmp_path else "nfs4")
    elsewhere = BeamOptions(profile="flink", job_endpoint="192.0.2.1:8099")
    (warning,) = check_beam(elsewhere, [tmp_path, Path("/shared")])
    assert str(tmp_path) in warning and "ext4" in warning and "192.0.2.1:8099" in warning
    assert check_beam(BeamOptions(profile="flink"), [tmp_path]) == []
    assert check_beam(BeamOptions(), [tmp_path]) == []


def test_the_file_system_is_that_of_the_innermost_mount() -> None:
    assert beam_profiles._file_system(Path("/proc/self/nothing")) == "proc"
    assert beam_profiles._file_system(Path("/proc").parent) == beam_profiles._file_system(Path("/"))
