"""Scores on a common scale."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

NOISE: Final = 1e-6
"""Whatever is smaller comes from rounding, and decides nothing.

The same cosine leaves numpy and pgvector with different last bits of a float32: that must neither be blown up
to a standard score nor decide between equal episodes.
"""

DECIMALS: Final = 5
"""To which scores are rounded before they are compared."""


def standard(values: npt.NDArray[np.float64], weight: float) -> npt.NDArray[np.float64]:
    """Return weighted standard scores; 0 where there is nothing but noise."""
    if len(values) == 0:
        return np.zeros(0)
    n = len(values)
    scores: npt.NDArray[np.float64] = values - np.add.reduce(values) / n
    # Not a dot product: BLAS may split it over threads, whose number would then show in the last bits.
    deviation = math.sqrt(float(np.add.reduce(np.square(scores))) / n)
    scores *= weight / deviation if deviation > NOISE else 0.0
    return scores
