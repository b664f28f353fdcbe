"""The option names of a verb, asked before the parser is: a misspelt one is told in one sentence, as every other mistake is."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Collection
from typing import Any, get_type_hints

from ..core.errors import UsageError, nearest


def call(verb: Callable[..., int], arguments: list[str], prog: str) -> int:
    """Run a verb whose options are a function's parameters. Raises UsageError as `check_names` does."""
    import tyro

    check_names(arguments, of_function(verb), f"{prog} --help")
    return tyro.cli(verb, args=arguments, prog=prog)


def check_names(arguments: list[str], known: Collection[str], listing: str, own: Collection[str] = ()) -> None:
    """Raise UsageError at the first word `--x` that is not among `known` (width, no-flip), dashes and underscores alike.

    listing: the command that shows all options. own: options that the verb took out before; one that is left was given twice.
    What follows `=` is a value, and whoever asks for help gets it.
    """
    if {"-h", "--help"} & {*arguments}:
        return
    for word in arguments:
        name = word.partition("=")[0].removeprefix("--").replace("_", "-")
        if not word.startswith("--") or word == "--" or name in known:
            continue
        if name in own:
            raise UsageError(f"--{name} is given twice.")
        hint = re.sub(r"'(.+)'", r"--\1", nearest(name, [*known, *own]))
        raise UsageError(f"unknown option {word.partition('=')[0]}.{hint} `{listing}` lists them all.")


def of_function(verb: Callable[..., Any]) -> set[str]:
    """The names of a function's parameters that have a default, the others being positional: {'seeds', 'grid', 'no-grid'}."""
    hints = get_type_hints(verb, include_extras=True)
    found: set[str] = set()
    for key, parameter in inspect.signature(verb).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            renamed = (getattr(mark, "name", None) for mark in getattr(hints[key], "__metadata__", ()))
            found |= _spellings(next(filter(None, renamed), key), parameter.default)
    return found


def of_dataclass(default: Any) -> set[str]:
    """The names of a dataclass's fields, those of dataclasses inside it as if they were its own: {'width', 'flip', 'no-flip'}."""
    found: set[str] = set()
    for field in dataclasses.fields(default):
        value = getattr(default, field.name)
        found |= of_dataclass(value) if dataclasses.is_dataclass(value) else _spellings(field.name, value)
    return found


def _spellings(name: str, default: object) -> set[str]:
    """A switch may also be told not to."""
    plain = name.replace("_", "-")
    return {plain, f"no-{plain}"} if isinstance(default, bool) else {plain}
