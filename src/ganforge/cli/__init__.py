"""The `gan` command: one small file a verb. Parsing of arguments lives here and nowhere else; torch loads only when needed."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

from ..core.errors import GanforgeError, StorageError, nearest

VERBS = {
    "train": ("DATA [--recipe NAME] [options]", "train a model on a folder of images, an archive, or a built-in set"),
    "check": ("DATA [--out FILE] [options]", "look at the data: what is usable, what is not and why, what to do"),
    "degrade": ("PRESET PHOTOS [-o sheet.png]", "see what a training for restoration would do to your photographs"),
    "resume": ("RUN", "continue a run exactly where it stopped"),
    "finetune": ("MODEL DATA [options]", "train a model further on other data, in a new run"),
    "generate": ("RUN [--seeds 0-63] [--out DIR]", "draw images with a trained model"),
    "apply": ("RUN PHOTOS -o OUT", "restore, enlarge, colour or translate images, folders, videos with a trained model"),
    "preview": ("RUN PHOTO [-o sheet.png]", "see what a model makes of the most detailed part of a photo"),
    "blend": ("A B 0.3 -o MODEL", "a model between two others: their weights, mixed"),
    "evaluate": ("RUN [--data DATA] [--metrics fid,kid]", "measure a model, or any images, against data"),
    "compare": ("RUN RUN ... [--data DATA]", "put runs side by side: one table, one picture"),
    "list": ("recipes | tasks | data | losses | penalties | networks | runs", "what there is to choose from"),
    "info": ("RUN [--json]", "what a run or a model is, how far it got, how to use it"),
    "doctor": ("", "check this machine and installation"),
    "selftest": ("[resume]", "prove on this machine that a resumed run is bit-identical"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 ok, 2 usage, 3 data, 4 diverged, 5 storage or memory, 6 checkpoint, 130 Ctrl-C, 143 SIGTERM."""
    arguments = [*(sys.argv[1:] if argv is None else argv)]  # `list` is a module of ours here, once `gan list` was called
    for stream in (sys.stdout, sys.stderr):  # file names may hold anything, and terminals may know little
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    try:
        code, told = _run(arguments), ""
    except GanforgeError as error:
        if debug:
            raise
        code, told = error.exit_code, f"error: {error}\n"
    except KeyboardInterrupt:
        code, told = 130, ""
    except BrokenPipeError:  # `gan list recipes | head`
        code, told = 0, ""
    except OSError as error:  # a read-only folder, a full disk: wherever it shows
        if debug:
            raise
        code, told = StorageError.exit_code, f"error: the system refused: {error}. With --debug you see where.\n"
    _leave(code, told)


def _leave(code: int, told: str) -> None:
    """Exit; a terminal or pipe that is gone, and what still waits for it, changes nothing of the exit code."""
    for stream, text in ((sys.stdout, ""), (sys.stderr, told)):
        try:
            stream.write(text)
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return 0
    if arguments[0] in ("-V", "--version", "version"):
        from .. import __version__

        sys.stdout.write(f"ganforge {__version__}\n")
        return 0
    verb, *rest = arguments
    if verb not in VERBS:
        sys.stderr.write(f"error: there is no command '{verb}'.{nearest(verb, VERBS)} Commands: {', '.join(VERBS)}.\n")
        return 2
    return importlib.import_module(f".{verb}", __name__).main(rest)


def overview() -> str:
    """The text of `gan --help`."""
    width = max(len(f"{verb} {form}") for verb, (form, _) in VERBS.items())
    lines = [f"  gan {f'{verb} {form}':{width}}  {text}" for verb, (form, text) in VERBS.items()]
    return (
        "Train, judge and use generative adversarial networks on your own data.\n\n"
        + "\n".join(lines)
        + "\n\nStart:  gan train photos/          any folder of images; nothing else is needed\n"
        "        gan train fashion-small --minutes 5\n"
        "More:   gan COMMAND --help         all options of a command; --debug shows tracebacks\n"
    )
