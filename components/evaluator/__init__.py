"""The Evaluator's metrics in TFMA at the model's own decision, with intervals and comparison."""
