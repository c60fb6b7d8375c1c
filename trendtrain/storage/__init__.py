"""Bars in blocks, predictions and verdicts in rows; SQLAlchemy Core."""
