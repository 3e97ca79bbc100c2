"""Submissions: each file sent once, every attempt recorded, its score compared with the run's own."""
