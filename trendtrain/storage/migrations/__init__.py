"""Revisions that bring the tables of an older schema version to the newest, run by Alembic."""
