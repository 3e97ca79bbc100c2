"""A run as one page to look at: what was found (findings), drawn (figures) and put together (page)."""
