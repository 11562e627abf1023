"""Resolvers: a run's counterparts from the release in production."""
