"""A released model's network as TensorFlow Lite files, for devices, and how much they lose."""
