"""The signatures of a released SavedModel, as TensorFlow Serving offers them."""

# The name of the one input of each signature.
SIGNATURE_INPUTS = {"serving_default": "examples", "predict_images": "image_bytes"}
