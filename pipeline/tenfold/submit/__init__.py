"""Submissions: sent once, recorded, scored."""
