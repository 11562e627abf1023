"""Backbone outputs of the training images, computed once and kept from one training to the next."""
