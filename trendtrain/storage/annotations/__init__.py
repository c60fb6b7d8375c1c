"""Annotated trades: small JSON files that point at bars of the database."""

from trendtrain.storage.annotations.annotation import Annotation
from trendtrain.storage.annotations.store import AnnotationStore

__all__ = ["Annotation", "AnnotationStore"]
