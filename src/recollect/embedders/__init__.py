"""Embedders: anything with `model`, `dimensions` and `embed` is one; these wrap what people have."""

from ._function import FunctionEmbedder

__all__ = ("FunctionEmbedder",)
