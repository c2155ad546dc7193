"""Commands that measure: each prints a table and writes JSON. Figures come from nowhere else."""
