import keras

from trainer.keras_settings import set_keras_up


def test_a_users_settings_do_not_reach_the_trainer() -> None:
    before = keras.config.image_data_format(), keras.config.floatx(), keras.config.epsilon()
    try:
        keras.config.set_image_data_format("channels_first")
        keras.config.set_floatx("float16")
        keras.config.set_epsilon(1e-3)
        set_keras_up()
        assert (keras.config.image_data_format(), keras.config.floatx()) == ("channels_last", "float32")
        assert keras.config.epsilon() == 1e-7
    finally:
        keras.config.set_image_data_format(before[0])
        keras.config.set_floatx(before[1])
        keras.config.set_epsilon(before[2])
