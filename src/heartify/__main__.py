"""`python -m heartify` is the `heartify` command."""

from __future__ import annotations

from heartify.cli.main import run

if __name__ == "__main__":
    run()
