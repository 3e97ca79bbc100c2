"""One training: its loop, optimiser, schedule and device."""
