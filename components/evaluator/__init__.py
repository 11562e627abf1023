"""What the Evaluator computes: TFMA metrics at the model's own decision, with intervals and comparison."""
