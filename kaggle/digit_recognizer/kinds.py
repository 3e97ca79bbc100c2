"""What a file really is, whatever its name says: told by its first bytes, for every reader of this package."""

from __future__ import annotations

from typing import Final

START: Final = 512  # as many first bytes as `refusal` looks at
EXCEL_PARTS: Final = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"xl/")  # the first entry of an .xlsx

_UNPACK: Final = "unpack it"
_AS_CSV: Final = "open it in the program that wrote it, and save it as CSV"
_AS_PICTURE: Final = "name it as the picture that it is, or give the CSV"

# Where the bytes are, the bytes, what such a file is, and what to do with it.
_SIGNATURES: Final = (
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (0, b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (0, b"BZh", "a bzip2 archive", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook", _AS_CSV),
    (0, b"PAR1", "a Parquet file", _AS_CSV),
    (0, b"ARROW1", "a Feather file", _AS_CSV),
    (0, b"\x93NUMPY", "a NumPy file", _AS_CSV),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", _AS_CSV),
    (0, b"SQLite format 3\x00", "an SQLite database", _AS_CSV),
    (0, b"%PDF-", "a PDF", _AS_CSV),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture", _AS_PICTURE),
    (0, b"\xff\xd8\xff", "a JPEG picture", _AS_PICTURE),
    (0, b"GIF8", "a GIF picture", _AS_PICTURE),
    (0, b"II*\x00", "a TIFF picture", _AS_PICTURE),
    (0, b"MM\x00*", "a TIFF picture", _AS_PICTURE),
    (8, b"WEBP", "a WebP picture", _AS_PICTURE),
    (0, b"version https://git-lfs.github.com/spec/", "a Git LFS pointer", "fetch the file itself with `git lfs pull`"),
)


def refusal(start: bytes, wanted: str) -> str | None:
    """What a file with these first bytes is instead of what is `wanted`, and how to fix it; None where it is unknown.

    `wanted` is "a CSV" or "a zip archive".
    """
    if start.startswith(b"PK\x03\x04") and wanted != "a zip archive":
        if start[30:].startswith(EXCEL_PARTS):
            return f"is an Excel workbook, not {wanted}; {_AS_CSV}"
        return f"is a zip archive, not {wanted}; {_UNPACK}"
    for position, signature, kind, fix in _SIGNATURES:
        if start[position:].startswith(signature):
            return f"is {kind}, not {wanted}; {fix}"
    if _is_wide_text(start):
        return "is text in UTF-16, not in UTF-8; save it as UTF-8 (in Excel: CSV UTF-8)"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        return f"is a web page, not {wanted} (a login page?); download the file again while logged in"
    if text.startswith(b"{"):
        return f"is JSON, not {wanted} (an error message?); download the file again while logged in"
    if b"\x00" in start and wanted == "a CSV":
        return "line 1 has NUL bytes, so this is not CSV text; download it again"
    return None


def _is_wide_text(start: bytes) -> bool:
    """Whether this is text of 2 or 4 bytes per character, with or without a byte order mark."""
    even, odd = start[:40:2], start[1:40:2]
    return start.startswith((b"\xff\xfe", b"\xfe\xff")) or (any(even) != any(odd) and len(odd) > 1)
