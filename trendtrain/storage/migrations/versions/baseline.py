"""The first schema version that can be upgraded; `trendtrain.storage.schema_version` creates its tables."""

revision = "6"
down_revision = None


def upgrade() -> None:
    """Do nothing: a database either has the tables of this version, or gets those of the newest one."""
