"""The `recollect` command, of the extra `cli`."""

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command that the arguments of the process name."""
    if any(find_spec(needed) is None for needed in ("rich", "typer")):
        from ..errors import MissingExtra

        sys.exit(f"recollect: {MissingExtra('the command', 'cli')}")
    from .app import app

    app()
