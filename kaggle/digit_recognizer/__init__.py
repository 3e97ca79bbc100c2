"""The competition "digit-recognizer": its file formats, on numpy alone or with pandas' speed.

`rows` is the contract for a CSV of digits, `files` reads the competition's own set of files,
`submission` writes and reads what is handed in.
"""
