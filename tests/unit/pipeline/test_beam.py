"""From a profile to Beam's arguments, and what is found before a run."""

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crackgate.config.beam import BeamOptions
from crackgate.config.configuration import ConfigError, load_config
from pipeline import beam_profiles
from pipeline.beam_profiles import beam_pipeline_args, check_cluster, check_memory


@pytest.mark.parametrize("profile", ["auto", "local"])
def test_the_local_profiles_are_one_process(profile: str) -> None:
    arguments = beam_pipeline_args(load_config(None, [f"beam.profile={profile}"]).beam)
    assert {"--runner=FnApiRunner", "--direct_running_mode=in_memory"} <= set(arguments)


def test_auto_refuses_images_that_do_not_fit_into_memory_and_says_where_they_would() -> None:
    check_memory(BeamOptions(), images=1_000_000, memory=17_000_000_000)
    with pytest.raises(ConfigError) as refused:
        check_memory(BeamOptions(), images=10_000_000, memory=24_000_000_000)
    assert re.search("10,000,000 images take 151.3 GB, and 24.0 GB are usable here.*make flink-up", str(refused.value))
    for chosen in ("local", "flink"):
        check_memory(BeamOptions(profile=chosen), images=10_000_000, memory=24_000_000_000)


def test_auto_takes_what_fits_into_this_machine() -> None:
    check_memory(BeamOptions(), images=40_000)
    with pytest.raises(ConfigError, match="GB are usable here"):
        check_memory(BeamOptions(), images=10**10)


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


def test_beam_itself_understands_the_arguments_of_flink() -> None:
    from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

    flink = PipelineOptions(beam_pipeline_args(BeamOptions(profile="flink", worker_pool="pool:1")))
    assert flink.view_as(PortableOptions).environment_config == "pool:1"
    assert int(flink.view_as(PortableOptions).environment_cache_millis) == 5_000


def _refusal(endpoint: str) -> str:
    began = time.monotonic()
    with pytest.raises(ConfigError) as refused:
        check_cluster(BeamOptions(profile="flink", job_endpoint=endpoint), [])
    assert time.monotonic() - began < 5
    assert "\n" not in str(refused.value)
    assert re.search(f"no Beam job server answers at {re.escape(repr(endpoint))} .*make flink-up", str(refused.value))
    return str(refused.value)


def test_a_job_server_that_is_not_there_is_found_at_once_with_what_to_do() -> None:
    with socket.socket() as unused:
        unused.bind(("localhost", 0))
        assert "UNAVAILABLE" in _refusal(f"localhost:{unused.getsockname()[1]}")
    assert "UNAVAILABLE" in _refusal("nowhere.invalid:8099")


def test_a_server_that_says_nothing_is_no_job_server() -> None:
    with socket.create_server(("localhost", 0)) as silent:
        assert "DEADLINE_EXCEEDED" in _refusal(f"localhost:{silent.getsockname()[1]}")


def test_a_server_of_another_kind_is_no_job_server() -> None:
    import grpc

    other = grpc.server(ThreadPoolExecutor(1))
    port = other.add_insecure_port("localhost:0")
    other.start()
    try:
        assert "UNIMPLEMENTED" in _refusal(f"localhost:{port}")
    finally:
        other.stop(0)


def test_a_local_disk_is_warned_of_when_the_job_server_is_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam_profiles, "_ask_job_server", lambda _options: None)
    monkeypatch.setattr(beam_profiles, "_file_system", lambda path: "ext4" if path == tmp_path else "nfs4")
    elsewhere = BeamOptions(profile="flink", job_endpoint="192.0.2.1:8099")
    (warning,) = check_cluster(elsewhere, [tmp_path, Path("/shared")])
    assert str(tmp_path) in warning and "ext4" in warning and "192.0.2.1:8099" in warning
    assert check_cluster(BeamOptions(profile="flink"), [tmp_path]) == []
    assert check_cluster(BeamOptions(), [tmp_path]) == []


def test_the_file_system_is_that_of_the_innermost_mount() -> None:
    assert beam_profiles._file_system(Path("/proc/self/nothing")) == "proc"
    assert beam_profiles._file_system(Path("/proc").parent) == beam_profiles._file_system(Path("/"))
