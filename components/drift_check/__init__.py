"""Stops the run when its images differ from the last released run's, or its splits from each other."""
