"""Operations as data: models that are derived from methods, so that the two cannot drift apart."""

from .annotations import as_data
from .catalogue import Catalogue
from .models import Op

__all__ = ("Catalogue", "Op", "as_data")
