"""`gan selftest [NAME]`."""

from __future__ import annotations

import sys

from ..core.errors import UsageError, nearest


def main(arguments: list[str]) -> int:
    from ..runs.selftest import CHECKS

    if arguments in (["-h"], ["--help"]):
        sys.stdout.write("gan selftest [NAME]\n\nProve promises on this machine with small real runs: all of them, or one. There are:\n\n")
        for name, check in CHECKS.items():
            sys.stdout.write(f"  {name}  {(check.__doc__ or '').splitlines()[0]}\n")
        return 0
    if len(arguments) > 1:
        raise UsageError(f"gan selftest takes one name or none; got {len(arguments)}.")
    for name in arguments:
        if name not in CHECKS:
            raise UsageError(f"there is no self-test '{name}'.{nearest(name, CHECKS)} There are: {', '.join(CHECKS)}.")
    failed = 0
    for name in arguments or CHECKS:
        for what, found, holds in CHECKS[name]():
            sys.stdout.write(f"{name}  {'ok  ' if holds else 'FAIL'}  {what}: {found}\n")
            sys.stdout.flush()
            failed += not holds
    sys.stdout.write("self-test failed: this machine does not keep the promise above.\n" if failed else "self-test passed.\n")
    return 1 if failed else 0
