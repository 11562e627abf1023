"""Beam profiles: their arguments, and the checks before a run starts."""

import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from crackgate.config.beam import BeamOptions
from crackgate.config.configuration import ConfigError
from crackgate.control_groups import usable_memory
from crackgate.storage.location import Location, is_url

if TYPE_CHECKING:
    from tfx.dsl.components.base.base_component import BaseComponent

# Bytes that the runner of one process keeps: of a run without images, and of each image (docs/scale.md).
_FIXED_MEMORY = 1_300_000_000
_MEMORY_OF_IMAGE = 15_000

# Beam's in-process runner: `DirectRunner` would first try to download another one.
_IN_MEMORY = ["--runner=FnApiRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]
# Milliseconds that a worker waits for the next step of its job, instead of a new import of TensorFlow. Flink's
# restart delay must be longer, or a restarted job would receive its killed workers.
_KEEP_WORKERS = 5_000
# With the start of Python an error comes within 5 s.
_SECONDS_TO_ANSWER = 3
_QUESTION = "/org.apache.beam.model.job_management.v1.JobService/DescribePipelineOptions"
# No other machine sees these file systems.
_LOCAL_FILE_SYSTEMS = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "ramfs", "overlay"}


def beam_pipeline_args(options: BeamOptions) -> list[str]:
    """Returns Beam's arguments for all components; `add_component_args` adds those of single ones."""
    arguments = _flink(options) if options.profile == "flink" else _IN_MEMORY
    # Any image name keeps TFX from packing its sources for every component, which takes seconds. Beam would check the
    # types of the same steps anew in each run, a fifth of the time that an empty pipeline takes; tests do it once.
    return [*arguments, "--sdk_container_image=unused", "--no_pipeline_type_check", *options.args]


def add_component_args(components: Iterable["BaseComponent"], options: BeamOptions) -> None:
    """Adds `beam.component_args` to each component; they win over the arguments of all components."""
    for component in components:
        if arguments := options.component_args.get(component.id):
            component.with_beam_pipeline_args(list(arguments))


def check_cluster(options: BeamOptions, folders: Sequence[Location]) -> list[str]:
    """Returns warnings, a sentence each, about what would fail on a cluster later; none for the local profiles.

    The workers have to see `folders`, absolute paths. ConfigError means that no Beam job server answers at
    `beam.job_endpoint`.
    """
    if options.profile != "flink":
        return []
    _ask_job_server(options.job_endpoint)
    if _is_this_machine(options.job_endpoint.rpartition(":")[0]):
        return []
    return [
        f"{folder} is on a local disk ({kind}), and the workers of {options.job_endpoint} read and write there, too: "
        "it has to be storage that they share under the same path, such as NFS"
        for folder in folders
        if not is_url(folder) and (kind := _file_system(Path(folder))) in _LOCAL_FILE_SYSTEMS
    ]


def check_memory(options: BeamOptions, images: int, memory: int | None = None) -> None:
    """Raises ConfigError if the profile "auto" would need more than `memory`, bytes; by default what is usable here."""
    memory = usable_memory() if memory is None else memory
    needed = _FIXED_MEMORY + images * _MEMORY_OF_IMAGE
    if options.profile == "auto" and needed > memory:
        raise ConfigError(
            f"beam.profile: received 'auto', whose runner keeps some {_MEMORY_OF_IMAGE // 1000} kB of each image in "
            f"memory: {images:,} images take {needed / 1e9:,.1f} GB, and {memory / 1e9:,.1f} GB are usable here: "
            "choose flink, which writes to disk (docs/flink.md; on this machine: make flink-up), a machine or "
            "container with more memory, or local, which tries it all the same"
        )


def _flink(options: BeamOptions) -> list[str]:
    return [
        "--runner=PortableRunner",
        f"--job_endpoint={options.job_endpoint}",
        "--environment_type=EXTERNAL",
        f"--environment_config={options.worker_pool}",
        f"--environment_cache_millis={_KEEP_WORKERS}",
        *([f"--parallelism={options.parallelism}"] if options.parallelism else []),
    ]


def _ask_job_server(endpoint: str) -> None:
    import grpc

    with grpc.insecure_channel(endpoint) as channel:
        try:
            # The empty message, as bytes: Beam's own client would be imported for seconds.
            channel.unary_unary(_QUESTION)(b"", timeout=_SECONDS_TO_ANSWER)
        except grpc.RpcError as error:
            said = " ".join(error.details().split())
            raise ConfigError(
                f"beam.job_endpoint: no Beam job server answers at {endpoint!r} ({error.code().name}: {said}): start "
                "Flink's there (docs/flink.md; on this machine: make flink-up), correct the address, or choose another "
                "beam.profile"
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
