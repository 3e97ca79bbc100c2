"""Many trainings: which there are, in what order, and where they run."""
