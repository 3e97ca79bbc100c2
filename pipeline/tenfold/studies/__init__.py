"""One question a file; `tenfold study` asks them again."""
