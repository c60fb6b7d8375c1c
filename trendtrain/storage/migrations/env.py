"""What Alembic runs around the revisions: ours work inside the caller's transaction."""

from alembic import context


def run() -> None:
    """Run the revisions that are due."""
    context.configure(connection=context.config.attributes["connection"])
    with context.begin_transaction():
        context.run_migrations()


if __name__ == "env_py":  # the name under which Alembic runs this file; others only look at it
    run()
