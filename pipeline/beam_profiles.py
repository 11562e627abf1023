"""Beam profiles: their arguments, and the checks before a run starts."""

import os
import socket
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from crackgate.config.beam import BeamOptions
from crackgate.config.configuration import ConfigError
from crackgate.images.image_folder import find_files

if TYPE_CHECKING:
    from tfx.dsl.components.base.base_component import BaseComponent

# Two processes on two cores take 12 s longer than one at 10,000 images, and 8 s less at 40,000 (docs/scale.md).
PARALLEL_FROM = 40_000
# On two cores a reader process saves hardly any time at 2,000 images, and a quarter of ingest at 10,000.
_READERS_FROM = 5_000
# Each holds some 300 MB while images are read.
_MOST_READERS = 3

# Milliseconds that a worker waits for the next step of its job, instead of a new import of TensorFlow. Flink's
# restart delay must be longer, or a restarted job would receive its killed workers.
_KEEP_WORKERS = 5_000
_SECONDS_TO_ANSWER = 10
# No other machine sees these file systems.
_LOCAL_FILE_SYSTEMS = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "ramfs", "overlay"}


def beam_pipeline_args(options: BeamOptions, data: Path | None = None) -> list[str]:
    """Returns Beam's arguments for all components; `add_component_args` adds those of single ones.

    The profile "auto" counts the images in `data`, and means "local" without that folder.
    """
    arguments = {
        "local": _in_memory,
        "local-parallel": _parallel,
        "flink": _flink,
        "spark": _job_api,
    }[resolve_profile(options, data)](options)
    # Any image name keeps TFX from packing its sources for every component, which takes seconds.
    return [*arguments, "--sdk_container_image=unused", *options.args]


def resolve_profile(options: BeamOptions, data: Path | None = None) -> str:
    """Returns the profile; "auto" becomes the one for this machine and the number of images in `data`."""
    if options.profile != "auto":
        return options.profile
    if options.workers:
        return "local" if options.workers == 1 else "local-parallel"
    pays = _cores() > 1 and data is not None and _has_images(data, PARALLEL_FROM)
    return "local-parallel" if pays else "local"


def count_reader_processes(options: BeamOptions, data: Path) -> int:
    """Returns the number of reader processes: one per further core, if this process reads many images itself."""
    if options.workers or resolve_profile(options, data) != "local" or not _has_images(data, _READERS_FROM):
        return 0
    return min(_cores() - 1, _MOST_READERS)


def add_component_args(components: Iterable["BaseComponent"], options: BeamOptions) -> None:
    """Adds `beam.component_args` to each component; they win over the arguments of all components."""
    for component in components:
        if arguments := options.component_args.get(component.id):
            component.with_beam_pipeline_args(list(arguments))


def check_beam(options: BeamOptions, folders: Sequence[Path]) -> list[str]:
    """Returns warnings, a sentence each, about what would fail on a cluster later; none for the local profiles.

    The workers have to see `folders`, absolute paths: the images and the pipeline's root. ConfigError means that no
    Beam job server answers at `beam.job_endpoint`.
    """
    if options.profile not in ("flink", "spark"):
        return []
    _ask_job_server(options)
    if _is_this_machine(options.job_endpoint.rpartition(":")[0]):
        return []
    return [
        f"{folder} is on a local disk ({kind}), and the workers of {options.job_endpoint} read and write there, too: "
        "it has to be storage that they share under the same path, such as NFS"
        for folder in folders
        if (kind := _file_system(folder)) in _LOCAL_FILE_SYSTEMS
    ]


def _in_memory(_options: BeamOptions) -> list[str]:
    """Chooses Beam's in-process runner: `DirectRunner` would first try to download another one."""
    return ["--runner=FnApiRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]


def _parallel(options: BeamOptions) -> list[str]:
    return [
        "--runner=FnApiRunner",
        "--direct_running_mode=multi_processing",
        f"--direct_num_workers={options.workers or _cores()}",
    ]


def _job_api(options: BeamOptions) -> list[str]:
    return [
        "--runner=PortableRunner",
        f"--job_endpoint={options.job_endpoint}",
        "--environment_type=EXTERNAL",
        f"--environment_config={options.worker_pool}",
        f"--environment_cache_millis={_KEEP_WORKERS}",
    ]


def _flink(options: BeamOptions) -> list[str]:
    return [*_job_api(options), *([f"--parallelism={options.parallelism}"] if options.parallelism else [])]


def _has_images(data: Path, least: int) -> bool:
    """Tells whether there are `least` images, and counts no further."""
    return data.is_dir() and sum(1 for _ in islice(find_files(data), least)) == least


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _ask_job_server(options: BeamOptions) -> None:
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    with grpc.insecure_channel(options.job_endpoint) as channel:
        service = beam_job_api_pb2_grpc.JobServiceStub(channel)
        try:
            service.DescribePipelineOptions(
                beam_job_api_pb2.DescribePipelineOptionsRequest(), timeout=_SECONDS_TO_ANSWER
            )
        except grpc.RpcError as error:
            raise ConfigError(
                f"beam.job_endpoint: no Beam job server answers at {options.job_endpoint!r} "
                f"({error.code().name}: {error.details()}): start one for {options.profile} there (docs/flink.md; on "
                "this machine: make flink-up), correct the address, or choose another beam.profile"
            ) from None


def _is_this_machine(host: str) -> bool:
    try:
        addresses = {found[4][0] for found in socket.getaddrinfo(host.strip("[]"), None)}
    except OSError:
        return False
    own = {address.address for interface in psutil.net_if_addrs().values() for address in interface}
    return bool(addresses & own)


def _file_system(folder: Path) -> str:
    """Returns the type of the file system that holds the folder, or will hold it."""
    mounts = {Path(mount.mountpoint): mount.fstype for mount in psutil.disk_partitions(all=True)}
    return next((mounts[path] for path in (folder, *folder.parents) if path in mounts), "")
