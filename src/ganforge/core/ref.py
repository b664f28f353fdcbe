"""Names for Python objects on the command line and in JSON: `hinge`, or `path/to/my_losses.py:wiggle` for one's own.

The namespace is the registry: `hinge` is `losses.hinge`. A file of the user's is run only where the user typed its
name; a name that was read from a run folder is resolved with `trusted` files only, so that a model from a
stranger never runs code.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import UsageError, nearest

_origin: dict[int, str] = {}
"""Where each object from a user's file came from, by id; its module keeps it alive."""


def resolve(text: str, home: ModuleType, kind: type, trusted: Collection[str] | None = None) -> Any:
    """Return the object `text` names: public in `home`, or `file.py:name`.

    `trusted` None means that the user typed the text; otherwise only files in it are run.
    Raises UsageError with what exists and the nearest match.
    """
    where, colon, what = text.rpartition(":")
    if not colon:
        return _lookup(what, home, kind, home.__name__)
    path = Path(where).expanduser()
    if trusted is not None:  # the user's own path to the file of that name; the one on record may be another machine's
        allowed = {Path(t).name: Path(t).expanduser() for t in (t.rpartition(":")[0] or t for t in trusted)}
        if path.name not in allowed:
            raise UsageError(
                f"this run uses code of its own, {path.name}, which is not run unless you say so. "
                f"If you trust it, add: --code path/to/{path.name}"
            )
        path = allowed[path.name]
    found = _lookup(what, _load(path.resolve()), kind, path.name)
    _origin[id(found)] = f"{path.name}:{what}"
    return found


def name(thing: Any, home: ModuleType) -> str:
    """The inverse of `resolve`: a text that leads back to `thing`. Raises UsageError for an object without a name."""
    public = (key for key, value in vars(home).items() if value is thing and not key.startswith("_"))
    found = next(public, None) or _origin.get(id(thing))  # ours first: a file may only give it another name
    if found is None:
        raise UsageError(
            f"{thing!r} has no name that a run folder could keep. Put it into a file and pass the text 'file.py:name', "
            f"or use one of {', '.join(names(home, type(thing)))}."
        )
    return found


def names(home: ModuleType, kind: type) -> list[str]:
    """Public objects of that kind in `home`."""
    return sorted(key for key, value in vars(home).items() if isinstance(value, kind) and not key.startswith("_"))


def _lookup(what: str, module: ModuleType, kind: type, place: str) -> Any:
    found = None if what.startswith("_") else getattr(module, what.replace("-", "_"), None)
    if found is None or not isinstance(found, kind):
        known = names(module, kind)
        raise UsageError(
            f"'{what}' is not in {place}.{nearest(what, known)} It has: {', '.join(known) or 'nothing of that kind'}. "
            f"Your own works too: path/to/file.py:{what}"
        )
    return found


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path}.")
    key = f"_ganforge_user_{abs(hash(str(path))):x}_{path.stem}"
    if key not in sys.modules:
        spec = importlib.util.spec_from_file_location(key, path)
        if spec is None or spec.loader is None:
            raise UsageError(f"{path} is not a Python file (expected a name that ends in .py).")
        module = importlib.util.module_from_spec(spec)
        sys.modules[key] = module
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            del sys.modules[key]
            if not isinstance(error, Exception):
                raise
            raise UsageError(f"{path} could not be run: {type(error).__name__}: {error}. With --debug you see where.") from error
    return sys.modules[key]
