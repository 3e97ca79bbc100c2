"""Files of a run: where each one lies, written whole, locked by one process. Knows nothing of digits."""
