"""The Trainer and the Tuner: entry points `trainer.run_fn.run_fn` and `trainer.tuner.tuner_fn`, rooms below them."""
