"""Augmentation: geometry, surface and light, camera."""
