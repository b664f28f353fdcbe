"""`gan doctor`."""

from __future__ import annotations

import sys

from ..core.errors import UsageError


def main(arguments: list[str]) -> int:
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write("gan doctor\n\nCheck this machine and installation.\n")
        return 0
    if arguments:
        raise UsageError("gan doctor takes no arguments.")
    from ..runs.environment import doctor

    rows = doctor()
    width = max(len(name) for name, _, _ in rows)
    for name, value, verdict in rows:
        sys.stdout.write(f"{name:{width}}  {value}" + ("" if verdict == "ok" else f"   <- {verdict}") + "\n")
    return 0
