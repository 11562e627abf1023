"""Settings of a user's other programs do not reach what TFX calls."""

from collections.abc import Callable

import keras
import pytest
from tfx.components.trainer.fn_args_utils import FnArgs

from trainer.run_fn import run_fn
from trainer.tuner import tuner_fn


@pytest.mark.parametrize("entry_point", [run_fn, tuner_fn])
def test_a_users_settings_do_not_reach_trainer_and_tuner(entry_point: Callable[[FnArgs], object]) -> None:
    before = keras.config.image_data_format(), keras.config.floatx(), keras.config.epsilon()
    try:
        keras.config.set_image_data_format("channels_first")
        keras.config.set_floatx("float16")
        keras.config.set_epsilon(1e-3)
        with pytest.raises(ValueError, match="needed is 'classes'"):
            entry_point(FnArgs())
        assert (keras.config.image_data_format(), keras.config.floatx()) == ("channels_last", "float32")
        assert keras.config.epsilon() == 1e-7
    finally:
        keras.config.set_image_data_format(before[0])
        keras.config.set_floatx(before[1])
        keras.config.set_epsilon(before[2])
