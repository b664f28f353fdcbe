"""`gan train DATA [--recipe NAME | --task TASK] [options]`. Options are the recipe's fields; `--recipe X --help` lists those of X."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Collection
from types import FunctionType, ModuleType
from typing import Any

from ..core.errors import GanforgeError, UsageError
from .options import check_names, of_dataclass

USAGE = "gan train DATA [--recipe NAME | --task TASK] [--dry-run] [options]"


def main(arguments: list[str]) -> int:
    from ..recipes import usual

    name, arguments = _take(arguments, "--recipe", usual([a.partition("=")[0][2:] for a in arguments if a.startswith("--")]))
    dry_run, arguments = "--dry-run" in arguments, [a for a in arguments if a != "--dry-run"]
    helping = any(a in ("-h", "--help") for a in arguments)
    if not helping and (not arguments or arguments[0].startswith("-")):
        raise UsageError(f"say what to train on: {USAGE}. DATA is a folder of images, an archive, or a built-in set (`gan list data`).")
    if helping:
        sys.stdout.write(f"{USAGE}\n\nDATA is a folder of images, a .zip, .npz, idx, CIFAR or parquet file, or a built-in set.\n")
        sys.stdout.write("TASK is something to do to photographs, such as denoise: `gan list tasks`. It stands for --recipe restore.\n\n")
    if any(a.split("=")[0] == "--path" for a in arguments):
        raise UsageError(f"DATA comes first and needs no option: {USAGE}")
    data, options = (arguments[0], arguments[1:]) if not arguments[0].startswith("-") else ("DATA", arguments)
    recipe = parse(name, data, options)

    from ..runs.start import launch

    return launch(recipe, dry_run=dry_run).exit_code


def parse(name: str, data: str, options: list[str]) -> Any:
    """The recipe object that a command line describes. Raises UsageError for a wrong option, naming its nearest, and for a wrong value."""
    from ..core import recipe as recipes_json
    from ..recipes import find

    kind = find(name)
    of = f" --recipe {name}" if name != "auto" else ""
    default = recipes_json.on(kind, data)
    return described(kind, default, options, f"gan train {data}{of}", f"gan train DATA{of} --help", ("recipe", "dry-run"))


def described(kind: type, default: Any, options: list[str], prog: str, listing: str, own: Collection[str] = ()) -> Any:
    """`default`, a dataclass of that kind, with the options of a command line put in. Errors as in `parse`.

    listing, own: see `check_names`.
    """
    import tyro

    from ..core.recipe import homes

    check_names(options, of_dataclass(default), listing, own)
    boxes = io.StringIO()
    try:
        with _named(homes(kind)), contextlib.redirect_stderr(boxes):
            return tyro.cli(kind, args=options, default=default, prog=prog, config=(tyro.conf.OmitArgPrefixes,))
    except _Told as told:
        raise told.error from None
    except SystemExit as left:
        if error := _ours(left):  # our own words, as everywhere else, instead of a box with them inside
            raise error from None
        sys.stderr.write(boxes.getvalue())
        raise


class _Told(Exception):
    """Carries an error through tyro, which would swallow a ValueError inside a list of names."""

    def __init__(self, error: UsageError) -> None:
        self.error = error


def _ours(error: BaseException | None) -> GanforgeError | None:
    """The error of ours that another one came from, if any."""
    while error and not isinstance(error, GanforgeError):
        error = error.__context__
    return error if isinstance(error, GanforgeError) else None


def _named(homes: dict[type, ModuleType]) -> Any:
    """Teach tyro that fields of these kinds are given by name: `hinge`, or `my.py:wiggle`."""
    import tyro

    from ..core import ref

    registry = tyro.constructors.ConstructorRegistry()

    def found(text: str, home: ModuleType, kind: type) -> Any:
        try:
            return ref.resolve(text, home, kind)
        except UsageError as error:
            raise _Told(error) from error

    @registry.primitive_rule
    def by_name(info: Any) -> Any:
        if info.type not in homes:
            return None
        home = homes[info.type]
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="|".join([*ref.names(home, info.type), "FILE.py:NAME"]) if info.type is not FunctionType else "NAME",
            instance_from_str=lambda texts: found(texts[0], home, info.type),
            is_instance=lambda value: isinstance(value, info.type),
            str_from_instance=lambda value: [ref.name(value, home)],
        )

    return registry


def _take(arguments: list[str], option: str, default: str) -> tuple[str, list[str]]:
    """The value of `--option VALUE` or `--option=VALUE`, and the arguments without it."""
    for i, argument in enumerate(arguments):
        if argument == option:
            if i + 1 == len(arguments):
                raise UsageError(f"{option} needs a value: `gan list recipes` shows what there is.")
            return arguments[i + 1], arguments[:i] + arguments[i + 2 :]
        if argument.startswith(f"{option}="):
            return argument.removeprefix(f"{option}="), arguments[:i] + arguments[i + 1 :]
    return default, arguments
