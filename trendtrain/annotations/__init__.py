"""Annotated trades: small JSON files that point at bars of the database."""

from trendtrain.annotations.annotation import Annotation
from trendtrain.annotations.store import AnnotationStore

__all__ = ["Annotation", "AnnotationStore"]
