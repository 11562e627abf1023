"""A row that fails gets its default, and every other row its own outcome, in order."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from crackgate.model.row_errors import map_rows


@tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
def halve(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Halves even numbers; odd ones raise."""

    def of_one(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.control_dependencies([tf.debugging.assert_equal(row % 2, tf.constant(0, tf.int64))]):
            return tf.stack([row // 2, row]), tf.constant("fine")

    return map_rows(of_one, rows, (tf.constant([-1, -1], tf.int64), tf.constant("odd")))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 1000), max_size=40))
def test_rows_that_fail_fail_alone(rows: list[int]) -> None:
    values, words = halve(tf.constant(rows, tf.int64, (len(rows),)))
    expected = [[-1, -1] if row % 2 else [row // 2, row] for row in rows]
    np.testing.assert_array_equal(values.numpy(), np.reshape(expected, (len(rows), 2)))
    assert [word.decode() for word in words.numpy()] == ["odd" if row % 2 else "fine" for row in rows]
