"""Extractors: anything with an async method `extract` is one; `ChatExtractor` asks a language model."""

from ..stores import Extractor
from ._chat import ChatExtractor, Complete

__all__ = ("ChatExtractor", "Complete", "Extractor")
