"""The hash that ends a model file, so that no damaged byte of it is used.

A model's metadata entry CONTENT_HASH is the last thing in its file, and holds the SHA-256 of every byte before the
entry, in hexadecimal. So no parser is needed: `head -c -84 FILE | sha256sum` gives the same. In ONNX (protobuf) a file
with one more field at its end is a model with one more metadata entry.
"""

from __future__ import annotations

import hashlib
from typing import Final

CONTENT_HASH: Final = "content_sha256"
_KEY: Final = CONTENT_HASH.encode()
_DIGITS: Final = 64  # of a SHA-256 in hexadecimal
# Field 14 of a ModelProto, metadata_props: an entry whose field 1 is the key and whose field 2 is the value.
_ENTRY: Final = bytes([0x72, 4 + len(_KEY) + _DIGITS, 0x0A, len(_KEY), *_KEY, 0x12, _DIGITS])
_ENTRY_BYTES: Final = len(_ENTRY) + _DIGITS


def with_content_hash(model: bytes) -> bytes:
    """The model, which has no such entry yet, with its hash at the end."""
    return model + _ENTRY + hashlib.sha256(model).hexdigest().encode()


def without_content_hash(model: bytes) -> bytes:
    """The model without its hash, if it ends in one."""
    return model[:-_ENTRY_BYTES] if ends_in_hash(model) else model


def ends_in_hash(model: bytes) -> bool:
    """Whether the model ends in a hash, right or wrong."""
    return model[-_ENTRY_BYTES:-_DIGITS] == _ENTRY


def is_intact(model: bytes) -> bool:
    """Whether the model ends in the hash of all bytes before it."""
    return ends_in_hash(model) and with_content_hash(model[:-_ENTRY_BYTES]) == model
