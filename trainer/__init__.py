"""What the TFX Trainer runs: `trainer.run_fn.run_fn`, and what it needs."""
