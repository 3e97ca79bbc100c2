"""A run as one page: figures, diagrams, films and the HTML template; comparisons as tables."""
