"""Predictions, verdicts and lines in the database, in ordinary rows."""
