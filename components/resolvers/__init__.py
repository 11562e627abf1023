"""Resolvers: what a run is compared with, from the release in production."""
