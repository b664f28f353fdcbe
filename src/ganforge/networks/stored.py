"""Arrays out of weight files, read as data: nothing in the file is run, and nothing that it names is imported.

The files of torch and of numpy's pickles are small programs that build objects by calling what they name. Here such a
program is only followed: every call stays a description, and descriptions of plain tensors and arrays become tensors.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

LEGACY = 0x1950A86A20F9469CFC6C
"""The number that opens a file of torch older than 1.6."""
TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
Storages = Mapping[str, bytes] | Callable[[str], bytes]


def arrays(data: bytes) -> dict[str, Tensor]:
    """Every array in a .safetensors, .npz, .pt, .pth (plain, scripted or of old) or NumPy .ckpt file, by its dotted name.

    Names come in the order of the file. Raises ValueError for anything else, and for a damaged file.
    """
    try:
        if data.startswith(b"PK"):
            return _zipped(data)
        if data.startswith(b"\x80"):
            return _legacy(io.BytesIO(data))
        return load_safetensors(data)
    except (SafetensorError, zipfile.BadZipFile, EOFError, KeyError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(f"it is damaged, or no file of plain arrays ({type(error).__name__}: {error})") from error


@dataclass
class Call:
    """What a pickle would have called, with which arguments, and what it would have put into the result."""

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


def follow(stream: IO[bytes]) -> Any:
    """The value that one pickle in `stream` describes, with a Call in place of every object. Raises ValueError for odd streams."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        taken = stack[start:]
        del stack[start:]
        return taken

    for code, arg, _ in pickletools.genops(stream):
        name = code.name
        if name == "STOP":
            return stack.pop()
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _VALUES:
            stack.append(arg)
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            memo[len(memo) if arg is None else int(arg)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[int(str(arg))])
        elif name == "GLOBAL":
            stack.append(Call(str(arg)))
        elif name == "TUPLE":
            stack.append(tuple(since_mark()))
        elif name in ("APPENDS", "SETITEMS"):
            _fill(stack, since_mark())
        elif name in _TAKES:
            taken = stack[-_TAKES[name] :]
            del stack[-_TAKES[name] :]
            _combine(name, stack, taken)
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"it holds more than plain arrays ({name})")
    raise EOFError("it ends early")


_CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "BINFLOAT", "FLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
_VALUES |= {"BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "STRING"}
_TAKES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "BINPERSID": 1, "REDUCE": 2, "NEWOBJ": 2, "BUILD": 2, "STACK_GLOBAL": 2}
_TAKES |= {"APPEND": 2, "SETITEM": 3}


def _combine(name: str, stack: list[Any], taken: list[Any]) -> None:
    if name.startswith("TUPLE"):
        stack.append(tuple(taken))
    elif name == "BINPERSID":
        stack.append(Call("persistent", taken[0]))
    elif name == "STACK_GLOBAL":
        stack.append(Call(" ".join(taken)))
    elif name in ("REDUCE", "NEWOBJ"):
        stack.append(Call(taken[0].name, taken[1]))
    else:
        stack.append(taken[0])
        if name == "BUILD":
            taken[0].state = taken[1]
        else:
            _fill(stack, taken[1:])


def _fill(stack: list[Any], values: list[Any]) -> None:
    """Append values to the list on top of the stack, or put (key, value, key, value...) into the dictionary or object there."""
    top = stack[-1]
    if isinstance(top, list):
        top.extend(values)
    else:
        (top.items if isinstance(top, Call) else top).update(zip(values[::2], values[1::2], strict=True))


def _zipped(data: bytes) -> dict[str, Tensor]:
    with zipfile.ZipFile(io.BytesIO(data)) as box:
        inside = next((name for name in box.namelist() if name.endswith("/data.pkl")), None)
        if inside is None:
            with np.load(io.BytesIO(data), allow_pickle=False) as held:
                return {name: torch.from_numpy(held[name]) for name in held.files}
        root = inside.removesuffix("data.pkl") + "data/"
        return dict(_found(follow(io.BytesIO(box.read(inside))), lambda key: box.read(root + key)))


def _legacy(stream: IO[bytes]) -> dict[str, Tensor]:
    """A pickle with everything in it, or torch's old row of pickles with the numbers behind them."""
    first = follow(stream)
    if first != LEGACY:
        return dict(_found(first, {}))
    follow(stream), follow(stream)  # version, and facts of the machine
    whole, keys = follow(stream), follow(stream)
    sizes = {call.args[2]: _width(call) for call in _calls(whole) if call.name == "persistent"}
    storages = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        storages[key] = stream.read(count * sizes[key])
    return dict(_found(whole, storages))


def _calls(thing: Any) -> Iterator[Call]:
    if isinstance(thing, Call):
        yield thing
        for part in (thing.args, thing.state, thing.items):
            yield from _calls(part)
    elif isinstance(thing, dict):
        yield from _calls(tuple(thing.values()))
    elif isinstance(thing, list | tuple):
        for part in thing:
            yield from _calls(part)


def _found(thing: Any, storages: Storages, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """(dotted name, tensor) of every array inside a followed value."""
    if isinstance(thing, Call) and thing.name == "torch._utils _rebuild_parameter":
        thing = thing.args[0]
    if isinstance(thing, Call) and thing.name == "torch._utils _rebuild_tensor_v2":
        yield name, _tensor(thing, storages)
    elif isinstance(thing, Call) and thing.name.endswith("multiarray _reconstruct"):
        yield name, _numpy(*thing.state[1:])
    elif isinstance(thing, Call) and thing.name.endswith("numeric _frombuffer"):
        raw, kind, shape, order = thing.args
        yield name, _numpy(shape, kind, order == "F", bytes(raw))
    elif isinstance(thing, Call):
        for part in (thing.items, thing.state):
            yield from _found(part, storages, name)
    elif isinstance(thing, dict):
        for key, value in thing.items():
            yield from _found(value, storages, f"{name}.{key}" if name else str(key))


def _tensor(call: Call, storages: Storages) -> Tensor:
    storage, offset, shape, strides = call.args[:4]
    key = storage.args[2]
    raw = storages(key) if callable(storages) else storages[key]
    return torch.frombuffer(bytearray(raw), dtype=_type(storage)).as_strided(shape, strides, offset).clone()


def _type(storage: Call) -> torch.dtype:
    kind = storage.args[1].name.split()[-1]
    if kind not in TYPES:
        raise ValueError(f"it holds numbers of a kind that is not read ({kind})")
    return TYPES[kind]


def _width(storage: Call) -> int:
    return torch.empty(0, dtype=_type(storage)).element_size()


def _numpy(shape: tuple[int, ...], kind: Call, fortran: bool, raw: Any) -> Tensor:
    if isinstance(raw, Call) and raw.name == "_codecs encode":  # bytes, as the oldest protocol spells them
        raw = raw.args[0].encode("latin-1")
    plain = np.dtype(str(kind.args[0]))  # a description such as 'f4'; object arrays have no bytes to read
    if plain.hasobject or not isinstance(raw, bytes):
        raise ValueError("it holds Python objects, not numbers")
    return torch.from_numpy(np.frombuffer(raw, plain).reshape(shape, order="F" if fortran else "C").copy())
