"""A recipe as plain JSON and back: which class, which field values. Also flat keyword arguments, as Python and the command line give them.

A recipe is a frozen dataclass whose fields are numbers, texts, booleans, tuples of these, nested dataclasses of
the same, or objects with a name (see `Named`).
"""

from __future__ import annotations

import dataclasses
import functools
import os
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

from . import ref
from .errors import CheckpointError, UsageError, nearest
from .method import Method
from .run import Run


class Recipe(Protocol):
    """What the launcher asks of a recipe. `plan(spec, measure) -> (recipe, notes)` is optional: see recipes/auto.py."""

    run: Run

    def dataset(self) -> Any: ...
    def method(self, spec: Any) -> Method: ...


@dataclass(frozen=True)
class Named:
    """Marks a field whose value is an object that is known by its name in `home`: Annotated[Pair, Named(losses)]."""

    home: ModuleType


def on(cls: type, path: str) -> Any:
    """A recipe of that class for the data at `path`, all else as it comes; its field `data` says by its type which options those have."""
    return cls(data=typing.get_type_hints(cls)["data"](path=path))


def describe(recipe: Any) -> dict[str, Any]:
    """A plain-JSON description from which `rebuild` makes an equal recipe."""
    fields = {}
    for field, hint in _fields(type(recipe)):
        value = getattr(recipe, field.name)
        if home := _home(hint):
            value = ref.name(value, home)
        elif inner := _home(_each(hint)):
            value = [ref.name(v, inner) for v in value]
        elif dataclasses.is_dataclass(value):
            value = describe(value)
        elif isinstance(value, tuple):
            value = list(value)
        fields[field.name] = value
    return fields


def rebuild(cls: type, fields: Mapping[str, Any], trusted: Collection[str] = ()) -> Any:
    """The inverse of `describe`. Missing fields take today's defaults; unknown ones raise CheckpointError.

    Runs no code but that of `trusted` files.
    """
    hints = {field.name: hint for field, hint in _fields(cls)}
    if extra := fields.keys() - hints.keys():
        raise CheckpointError(
            f"{cls.__name__} has no {', '.join(sorted(extra))}; was this saved by another version? It has: {', '.join(hints)}."
        )
    return cls(**{key: _value(key, hints[key], value, trusted) for key, value in fields.items()})


def override(recipe: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of `recipe` with flat keyword arguments set: `size` reaches `recipe.data.size`, `minutes` `recipe.run.minutes`.

    Named fields take the object or its name. Raises UsageError for an unknown keyword, with the nearest known one.
    """
    places = _places(recipe)
    for key in changes:
        if key not in places:
            raise UsageError(f"{type(recipe).__name__} has no option '{key}'.{nearest(key, places)} It has: {', '.join(sorted(places))}.")
    for key, value in changes.items():
        *inner, name = places[key]
        owner = functools.reduce(getattr, inner, recipe)
        hint = dict((f.name, h) for f, h in _fields(type(owner)))[name]
        owner = dataclasses.replace(owner, **{name: _value(key, hint, value, None)})
        recipe = dataclasses.replace(recipe, **{inner[0]: owner}) if inner else owner
    return recipe


def homes(cls: type) -> dict[type, ModuleType]:
    """Kind of object -> the module whose names a recipe's fields of that kind take."""
    found: dict[type, ModuleType] = {}
    for _, hint in _fields(cls):
        for part in (hint, _each(hint)):
            if home := _home(part):
                found[_kind(part)] = home
        if dataclasses.is_dataclass(hint):
            found |= homes(typing.cast(type, hint))
    return found


def _places(recipe: Any) -> dict[str, tuple[str, ...]]:
    """Where each flat option lives: {"size": ("data", "size"), "width": ("width",), ...}."""
    places: dict[str, tuple[str, ...]] = {}
    for field, _ in _fields(type(recipe)):
        value = getattr(recipe, field.name)
        if dataclasses.is_dataclass(value):
            places |= {key: (field.name, *path) for key, path in _places(value).items()}
        else:
            places[field.name] = (field.name,)
    return places


def _value(option: str, hint: Any, value: Any, trusted: Collection[str] | None) -> Any:
    """What a field of that kind holds for `value`; raises UsageError where it is of another kind (Python and JSON can say anything)."""
    if type(None) in typing.get_args(hint):  # int | None
        if value is None:
            return None
        (hint,) = {*typing.get_args(hint)} - {type(None)}
    if each := _each(hint):
        values = value if isinstance(value, list | tuple) and not isinstance(value, _kind(each)) else [value]  # "r1" stands for ["r1"]
        return tuple(_value(option, each, v, trusted) for v in values)
    if home := _home(hint):
        value = ref.resolve(value, home, _kind(hint), trusted) if isinstance(value, str) else value
    elif dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return rebuild(typing.cast(type, hint), value, trusted or ())
    elif hint is str and isinstance(value, int | float | os.PathLike) and not isinstance(value, bool):
        return str(value)  # size=64, sigma=12.5, out=Path("runs/mine")
    elif hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, _kind(hint)) or hint is int and isinstance(value, bool):
        wanted = f"a name of {home.__name__} or such an object" if home else WORDS.get(hint, f"a {_kind(hint).__name__}")
        raise UsageError(f"{option} must be {wanted}; got {value!r}.")
    return value


WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}


def _kind(hint: Any) -> type:
    """The class that values of a field are of."""
    return typing.get_args(hint)[0] if _home(hint) else hint


def _fields(cls: type) -> list[tuple[dataclasses.Field, Any]]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return [(field, hints[field.name]) for field in dataclasses.fields(cls)]


def _each(hint: Any) -> Any:
    """X of tuple[X, ...]; None for other hints."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else None


def _home(hint: Any) -> ModuleType | None:
    return next((m.home for m in getattr(hint, "__metadata__", ()) if isinstance(m, Named)), None)
