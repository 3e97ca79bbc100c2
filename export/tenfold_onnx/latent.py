"""Ways through the generator's latent space, in numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def great_circle(
    start: npt.NDArray[np.float32], end: npt.NDArray[np.float32], shares: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Latent vectors float32 (N, Z) at shares (N,) in [0, 1] of the way from `start` (Z,) to `end` (Z,).

    Each point of a great circle is as likely a latent vector as the ends are (T. White, "Sampling Generative
    Networks", 2016).
    """
    first, last = start.astype(np.float64), end.astype(np.float64)
    cosine = first @ last / (np.linalg.norm(first) * np.linalg.norm(last))
    angle = np.arccos(np.clip(cosine, -1, 1))
    if angle < 1e-6:  # the same vector twice
        return np.repeat(start[None], len(shares), 0)
    share = shares[:, None]
    path = (np.sin((1 - share) * angle) * first + np.sin(share * angle) * last) / np.sin(angle)
    return path.astype(np.float32)
