"""Augmentation of training images: geometry, surface and light, camera."""
