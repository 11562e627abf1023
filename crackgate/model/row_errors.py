"""Mapping over the rows of a batch where a row that fails must not fail the others, in any TensorFlow graph."""

from collections.abc import Callable

import tensorflow as tf

# Rows that are worked on at the same time, where there are so many cores.
_AT_ONCE = 8


def map_rows(
    function: Callable[[tf.Tensor], tuple[tf.Tensor, ...]], rows: tf.Tensor, failed: tuple[tf.Tensor, ...]
) -> tuple[tf.Tensor, ...]:
    """Applies a function to each row by itself, in parallel; returns each of its tensors for all rows, (N, ...).

    Args:
        function: From one row to some tensors of fixed shapes.
        rows: (N, ...).
        failed: Results of a row on which the function fails: shapes and types as it returns them.
    """
    count = tf.shape(rows, out_type=tf.int64)[0]
    # A graph has no `try`, but a `tf.data.Dataset` can leave out the elements that raise.
    # By index, which costs a third of what slices cost.
    outcomes = tf.data.Dataset.range(count).map(lambda row: (row, *function(rows[row])), num_parallel_calls=_AT_ONCE)
    # One more, so that there is something to batch when every row fails.
    last = tf.data.Dataset.from_tensors((count, *failed))
    done, *values = outcomes.ignore_errors().concatenate(last).batch(count + 1).get_single_element()
    return tuple(
        tf.tensor_scatter_nd_update(_repeat(default, count + 1), done[:, None], value)[:count]
        for default, value in zip(failed, values, strict=True)
    )


def _repeat(value: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    return tf.broadcast_to(value, tf.concat([count[None], tf.shape(value, out_type=tf.int64)], axis=0))
