"""Bars in the database, in compressed blocks."""
