"""The competition "digit-recognizer": its file formats, and a client around the `kaggle` command.

`rows` defines and reads a CSV of digits with numpy alone, `files` reads the competition's own files fast, `submission`
reads and writes submissions. `client`, `download` and `kernel` talk to Kaggle.
"""
