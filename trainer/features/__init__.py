"""Backbone outputs of the training images, computed once and kept."""
