"""What trained nets are worth: cross-validation, the offline test score, generated digits."""
