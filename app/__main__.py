"""``python -m app --runs runs/``: open the dashboard on this machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from app.sources import add_source_options, sources_of
from medgrpo.errors import UserError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the dashboard; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="Look at what a model in training answers, and why each answer got its reward. "
        "Serves web pages, unless told otherwise on this machine only (127.0.0.1), and reads the runs "
        "without changing them.",
    )
    parser.add_argument("--runs", default="runs", help="folder that training wrote to (default: %(default)s)")
    parser.add_argument(
        "--workspace",
        help="folder for what is written here: the log of who looked at what (default: beside the runs, "
        "their name with -review)",
    )
    parser.add_argument("--port", type=int, help="port of the pages (default: the first free one from 7860)")
    add_source_options(parser)
    others = parser.add_argument_group("for other machines to ask")
    others.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine alone)"
    )
    others.add_argument("--users", type=Path, help="who may log in: a file that python -m app.users makes")
    others.add_argument("--certificate", type=Path, help="PEM file, for https")
    others.add_argument("--key", type=Path, help="PEM file of the certificate's private key")
    options = parser.parse_args(arguments)
    try:
        from app.context import Context
        from app.index import RolloutIndex
        from app.records.library import Library
        from app.site.audit import AuditLog
        from app.site.server import Address, serve
        from app.site.sessions import Sessions
        from app.site.users import read_users
        from app.workspace import open_workspace

        index = RolloutIndex(options.runs)
        workspace = open_workspace(options.workspace, options.runs)
        index.keep_in(workspace.index)
        sources = sources_of(options)
        sessions = Sessions(read_users(options.users)) if options.users else None
        address = Address(options.host, options.port, options.certificate, options.key)
        if sessions and not options.certificate:
            told = "warning: without --certificate others on the network can read passwords and videos"
            print(told, file=sys.stderr)
        library = Library(sources.records, index.folder)
        audit = AuditLog(workspace.audit)
        serve(Context(index, Path.cwd(), workspace, audit, sources, library), address, sessions)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
