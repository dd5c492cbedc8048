"""The ablation: the same short training without each part in turn, and what each part brings beyond the seeds."""
