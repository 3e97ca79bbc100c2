"""One question per file; `tenfold study` answers them again."""
