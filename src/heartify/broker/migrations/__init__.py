"""The broker's tables from one release to the next: Alembic migrations, run when a database is opened."""
