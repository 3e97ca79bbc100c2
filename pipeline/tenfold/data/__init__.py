"""Digits as arrays: the overlap guard, folds, warps, training batches. Knows no test label."""
