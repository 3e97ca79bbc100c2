"""Digits: images, labels and origins in one record, which everything before the batch uses."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

SIDE: Final = 28
ORIGIN: Final = np.dtype([("source", "U16"), ("row", np.int64)])


@dataclass(frozen=True)
class Digits:
    """N digits and their origins."""

    images: npt.NDArray[np.uint8]  # (N, 28, 28), 0 = background
    labels: npt.NDArray[np.int64] | None  # (N,) in 0..9, or None if unknown
    origin: npt.NDArray[np.void]  # (N,) of ORIGIN: which source, and which row there, from 0

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.dtype != np.uint8 or self.images.shape != (n, SIDE, SIDE):
            raise ValueError(f"images must be uint8 (N, 28, 28), not {self.images.dtype} {self.images.shape}")
        if self.labels is not None and (self.labels.dtype != np.int64 or self.labels.shape != (n,)):
            raise ValueError(f"labels must be int64 ({n},), not {self.labels.dtype} {self.labels.shape}")
        if self.labels is not None and n and not (self.labels.min() >= 0 and self.labels.max() <= 9):
            raise ValueError("labels must be in 0..9")
        if self.origin.dtype != ORIGIN or self.origin.shape != (n,):
            raise ValueError(f"origin must be {ORIGIN} ({n},)")

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def of(cls, source: str, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64] | None) -> Digits:
        """All rows of one source, in order."""
        origin = np.empty(len(images), ORIGIN)
        origin["source"], origin["row"] = source, np.arange(len(images))
        return cls(np.ascontiguousarray(images), labels, origin)

    def take(self, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Digits:
        """The rows that `index` selects: integers or a mask."""
        labels = None if self.labels is None else self.labels[index]
        return Digits(self.images[index], labels, self.origin[index])

    def known_labels(self) -> npt.NDArray[np.int64]:
        """The labels (N,). Raises ValueError if they are unknown."""
        if self.labels is None:
            raise ValueError("these digits have no labels")
        return self.labels

    def without_labels(self) -> Digits:
        """The same digits without labels."""
        return replace(self, labels=None)

    def keys(self) -> npt.NDArray[np.void]:
        """The image bytes as one comparable 784-byte key per image, (N,)."""
        flat = np.ascontiguousarray(self.images).reshape(len(self), SIDE * SIDE)
        return flat.view(np.dtype((np.void, SIDE * SIDE)))[:, 0]

    def fingerprints(self) -> npt.NDArray[np.uint64]:
        """The first 8 bytes of each image's SHA-256, (N,): small enough to store with a run."""
        hashes = b"".join(hashlib.sha256(image.tobytes()).digest()[:8] for image in self.images)
        return np.frombuffer(hashes, "<u8").astype(np.uint64)

    def images_sha256(self) -> str:
        """Hash of the images, the same for every order of the rows."""
        return hashlib.sha256(b"".join(sorted(image.tobytes() for image in self.images))).hexdigest()

    def sha256(self) -> str:
        """Hash of images and labels, in order."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images).tobytes())
        digest.update(b"" if self.labels is None else self.labels.tobytes())
        return digest.hexdigest()


def joined(*parts: Digits) -> Digits:
    """All rows of all parts, in order. The result is labelled if all parts are."""
    labels = [part.labels for part in parts if part.labels is not None]
    return Digits(
        np.concatenate([part.images for part in parts]),
        np.concatenate(labels) if len(labels) == len(parts) else None,
        np.concatenate([part.origin for part in parts]),
    )
