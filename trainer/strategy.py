"""The devices that train, one or several, and their precision."""

import json
import logging
import os
from collections.abc import Callable

import tensorflow as tf

from crackgate.config.train import TrainOptions
from crackgate.model.inference_requests import computes_in_bfloat16

log = logging.getLogger("crackgate")


def build_strategy(options: TrainOptions) -> tf.distribute.Strategy:
    """The strategy that `train.strategy` names. Make and train models in its scope.

    "multi_worker" waits for the workers in TF_CONFIG, and must come before TensorFlow's first operation. ValueError
    says that TF_CONFIG is missing or broken, TensorFlow ran before, or a batch has fewer images than devices.
    """
    builders = {"one": tf.distribute.get_strategy, "mirrored": _mirrored, "multi_worker": _multi_worker}
    strategy = builders[options.strategy]()
    devices = strategy.num_replicas_in_sync
    if options.batch_size < devices:
        raise ValueError(
            f"train.batch_size: received {options.batch_size} for {devices} devices: give {devices} or more"
        )
    if options.strategy != "one":
        log.info("training on %d devices, %d images per step over all of them", devices, options.batch_size)
    return strategy


def check_tf_config() -> None:
    """Raises ValueError unless TF_CONFIG names the workers of a training, and which of them this process is."""
    received = os.environ.get("TF_CONFIG", "")
    try:
        content = json.loads(received)
        members = content["cluster"][content["task"]["type"]]
        known = members[int(content["task"]["index"])]
    except (ValueError, KeyError, IndexError, TypeError):
        known = None
    if not known:
        raise ValueError(
            f'train.strategy = "multi_worker": TF_CONFIG does not name this process, received {received!r}; it is JSON '
            'like {"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'
        )


def is_chief(strategy: tf.distribute.Strategy | None = None) -> bool:
    """Whether this process writes checkpoints and models; without `strategy`, the one in scope counts."""
    resolver = (strategy or tf.distribute.get_strategy()).cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker" and resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs
    )


def training_policy(name: str) -> str:
    """Keras' dtype policy of fine-tuning; "auto": bfloat16 where a single CPU is faster with it, else float32."""
    gpu = bool(tf.config.list_logical_devices("GPU"))
    if name in ("bfloat16", "float16"):
        if not gpu:
            log.warning("train.mixed_precision = %r: there is no GPU, and few CPUs are faster with it", name)
        return f"mixed_{name}"
    if name == "none" or gpu or tf.distribute.has_strategy():
        return "float32"
    return "mixed_bfloat16" if computes_in_bfloat16() else "float32"


def on_all_devices(
    run: Callable[[tf.Tensor], tuple[tf.Tensor, ...]],
) -> Callable[[tf.Tensor], tuple[tf.Tensor, ...]]:
    """Shares each batch of a `tf.function` among the devices of the MirroredStrategy whose scope this is called in.

    Each output has a row for each row of the batch. Workers each run the whole batch on their first device.
    """
    strategy = tf.distribute.get_strategy()
    devices = strategy.num_replicas_in_sync
    if devices == 1 or not isinstance(strategy, tf.distribute.MirroredStrategy):
        return run

    def shared(batch: tf.Tensor) -> tuple[tf.Tensor, ...]:
        if len(batch) < devices:
            return run(batch)
        bounds = [device * len(batch) // devices for device in range(devices + 1)]
        shares = strategy.experimental_distribute_values_from_function(
            lambda context: batch[
                bounds[context.replica_id_in_sync_group] : bounds[context.replica_id_in_sync_group + 1]
            ]
        )
        outputs = strategy.run(run, (shares,))
        return tuple(tf.concat(strategy.experimental_local_results(output), axis=0) for output in outputs)

    return shared


def _mirrored() -> tf.distribute.Strategy:
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _multi_worker() -> tf.distribute.Strategy:
    check_tf_config()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ValueError(
            f'train.strategy = "multi_worker": {error} Run the Trainer in a process of its own, in which no other '
            "component has used TensorFlow"
        ) from error
