"""Names of array types, for annotations: numpy is imported when there is something to count."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Booleans = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Vector = NDArray[np.float32]
    Vectors = NDArray[np.float32]
