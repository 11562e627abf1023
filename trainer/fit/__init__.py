"""Fitting: the head, then the top blocks; steps, batches and checkpoints."""
