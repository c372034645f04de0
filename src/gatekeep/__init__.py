"""gatekeep: an API gateway inside your app. The public names, sorted, and nothing else."""
