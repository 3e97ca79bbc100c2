"""Scores of trained nets: cross-validation, the offline test score, generated digits."""
