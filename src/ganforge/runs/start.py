"""Start a run, or continue one: data, recipe and machine brought together, then the training loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..core import allocator, checkpoint, machine, memory, parallel
from ..core import recipe as recipes_json
from ..core.errors import CheckpointError, GanforgeError, UsageError
from ..core.method import Method, Progress
from ..core.restart import Opinion, Restart
from ..core.train import train as train_loop
from ..data import where
from ..data.describe import full, summary
from ..recipes import find, name_of, usual
from . import changes, model, plateau, preflight, recover, report, signals, sinks
from . import folder as folders
from .card import write_data
from .environment import environment
from .eyes import of_run
from .folder import Folder
from .grid import grid, save_png
from .heritage import Parent, take_over
from .live import Voice, duration, spoken
from .lock import alone
from .observe import Observer, too_few, with_looks
from .pictures import SAMPLES, captions, next_step


@dataclass(frozen=True)
class TrainedRun:
    """What `train` and `resume` return."""

    folder: Path
    seen: int
    total: int
    exit_code: int = 0
    """0; 130 or 143 if Ctrl-C or SIGTERM stopped it before its end (after saving)."""

    @property
    def finished(self) -> bool:
        return self.seen >= self.total

    def model(self, code: Collection[str] = ()) -> model.Model:
        """The trained model: averaged weights, ready to generate. `code`: see `ganforge.load`."""
        return model.load(self.folder, code=code)

    def history(self) -> list[dict[str, Any]]:
        """The readings of the run, oldest first: {"seen": ..., "seconds": ..., "generator/loss": ...}."""
        return Folder(self.folder).history()


def train(data: str | Path, recipe: Any = "", *, dry_run: bool = False, **options: Any) -> TrainedRun:
    """Train a model on `data`: a folder, zip, npz, idx, CIFAR or parquet source of images, or a built-in name.

    recipe: a name (`gan list recipes`), 'file.py:Name', or a recipe object, whose data path is then replaced; "": auto, or restore where
    a task is among the options. options: any
    option of the recipe by its flat name, as on the command line: minutes=10, size="64", lr=1e-4, loss="hinge",
    out="runs/mine". Unknown ones raise UsageError with the nearest known name. Stops cleanly at Ctrl-C, saving first.
    """
    kind = find(recipe or usual(options)) if isinstance(recipe, str) else recipe
    start = recipes_json.on(kind, str(data)) if isinstance(kind, type) else kind
    return launch(recipes_json.override(start, {"path": str(data), **options}), dry_run=dry_run)


def launch(recipe: Any, *, dry_run: bool = False, parent: Parent | None = None) -> TrainedRun:
    """Plan and train a recipe object, from a parent's weights if there is one; with `dry_run`, only look, plan and say so."""
    with parallel.processes(machine.pick_device(recipe.run.device)) as device, torch.random.fork_rng(devices=[]):
        rank, world = parallel.world()
        voice = Voice(quiet=rank > 0)
        machine.use_threads(recipe.run.threads)
        allocator.keep_freed(device.type)
        if world > 1 and not recipe.run.out:
            raise UsageError("with several processes give them a common folder: --out runs/NAME.")
        if rank == 0:  # before the data and the machine are looked at, which takes its time
            folders.check_free(recipe.run.out)
            sinks.check_names(recipe.run.log)
            of_run(recipe.run.evaluate)
        data = recipe.dataset()
        spec = dataclasses.replace(data.spec, device=str(device))
        for line in summary(data):
            voice.say(line)
        if parent:
            parent = parent.fitted(spec)
        voice.say("Plan    measuring what this machine does best ...")
        recipe, planned = plan(recipe, data, spec, device)
        if parent:
            planned |= {"notes": [*planned["notes"], *parent.told(recipe.method(spec), spec)], "parent": parent.facts}
        for note in planned["notes"]:
            voice.say(f"Plan    {note}")
        if dry_run:
            voice.say("dry run: nothing was trained or written.")
            return TrainedRun(Path(), 0, recipe.run.examples)
        recipe = with_looks(recipe, data, spec, planned["images_per_second"]) if rank == 0 else recipe
        folder = folders.create(recipe.run.out, recipe.data.path) if rank == 0 else Folder(Path(recipe.run.out))
        content = {"format": model.FORMAT, "ganforge": __version__, "recipe": name_of(type(recipe))}
        content |= {"fields": recipes_json.describe(recipe), "spec": _plain_spec(spec)}
        content |= {"parent": parent.facts} if parent else {}
        with spoken(voice), alone(folder):
            if rank == 0:
                voice.keep(folder.path / "log.txt")
                folder.write_json("plan.json", {**planned, "places": where.places(recipe.data, folder.path)})
                folder.write_json("environment.json", environment())
                write_data(folder, full(data))
                save_png(_reals(data), folder.path / "reals.png")
                if parent:
                    parent.write(folder)
                folder.write_json("recipe.json", content)  # last: its presence makes the folder a run
            parallel.barrier()
            return _go(recipe, data, spec, folder, content, device, voice, (of_run(recipe.run.evaluate),))


def resume(path: str | Path, *, code: Collection[str] = (), data_path: str = "", device: str = "", force: bool = False) -> TrainedRun:
    """Continue a run exactly where its last checkpoint stands, as if it had never stopped.

    code: one's own .py files that the run names and that may be run. data_path: where the data are now, if they moved. device: another
    one than the run was started on. force: go on although data or options changed, no longer exactly. Raises CheckpointError if the
    folder is no run, its checkpoints are damaged, the data changed since or are nowhere to be found, or the options changed;
    UsageError if the device is not there, or the batch cannot be cut over so many processes.
    """
    folder = folders.open_run(path)
    content = folder.json("recipe.json")
    try:
        recipe = recipes_json.rebuild(find(content["recipe"], code), content["fields"], code)
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder.path / 'recipe.json'} lacks or garbles {error}: it was not written by Ganforge.") from error
    with parallel.processes(machine.pick_device(device or recipe.run.device)) as place, torch.random.fork_rng(devices=[]):
        voice = Voice(quiet=parallel.world()[0] > 0)
        with spoken(voice), alone(folder):
            voice.keep(folder.path / "log.txt")
            machine.use_threads(recipe.run.threads)
            allocator.keep_freed(place.type)
            before, planned = folder.json("data_report.json").get("fingerprint"), folder.json("plan.json")
            options, data = where.again(
                recipe.data,
                lambda options: dataclasses.replace(recipe, data=options).dataset(),
                planned.get("places", {}),
                folder.path,
                str(before),
                data_path,
            )
            recipe = dataclasses.replace(recipe, data=options)
            if data_path and parallel.world()[0] == 0:
                folder.write_json("plan.json", {**planned, "places": where.places(options, folder.path)})
            state = checkpoint.read_state(folder.path)
            notes = changes.check_options(folder, content, state, force) + changes.check_machine(folder, recipe.run, state, place)
            forced = changes.check_data(folder, data, recipe.data.path, force)
            if not state:
                notes.append("no checkpoint found: it starts from the beginning")
            for note in [*notes, *forced]:
                voice.say(f"resume  {note}")
            if forced and parallel.world()[0] == 0:
                write_data(folder, full(data))
            return _go(recipe, data, dataclasses.replace(data.spec, device=str(place)), folder, content, place, voice, code)


RETURNS = 0.05
"""Share of the time between two checkpoints, at most, where --rescue may want to go back to one."""


def plan(recipe: Any, data: Any, spec: Any, device: torch.device) -> tuple[Any, dict[str, Any]]:
    """The recipe with everything decided, and the plan: notes, speed, sizes."""
    notes: list[str] = []

    def measure(candidate: Any) -> float:
        if not preflight.fits(candidate, data, spec, device):
            return 0.0
        run, method = candidate.run, candidate.method(spec)
        machine.layout(method, "channels_last" if run.layout == "auto" else run.layout)
        ways = ("fp32", "bf16") if run.precision == "auto" else (run.precision,)
        try:
            return max(machine.speed(method, data, dataclasses.replace(run, precision=way), device, seconds=0.4) for way in ways)
        except (MemoryError, RuntimeError) as error:
            if not memory.is_short(error) or parallel.world()[1] > 1:  # the other processes would wait for this one for ever
                raise
            return 0.0  # too large for this machine

    if not recipe.run.batch:
        batches = plateau.batches(recipe, spec.count)
        usual, _ = plan(plateau.of(recipe, plateau.usual(batches)), data, spec, device)
        recipe, why = plateau.choose(recipe, lambda batch: measure(plateau.of(usual, batch)), batches)
        notes.append(why)
    if hasattr(recipe, "plan"):
        recipe, chosen = recipe.plan(spec, measure)
        notes += chosen
    preflight.check(recipe, spec)
    recipe, filled = preflight.fill(recipe, spec.count)
    recipe, fits = preflight.fit(recipe, data, spec, device)
    notes += filled + fits

    def settle(chosen: Any) -> Any:
        run, *found = machine.settle(lambda: chosen.method(spec), data, chosen.run, device)
        return dataclasses.replace(chosen, run=run), *found

    recipe, rate, more = recover.within_memory(settle, recipe, notes.append)
    if recipe.run.rescue:
        often = min(recipe.run.save_minutes, recipe.run.examples / rate / 60 * RETURNS)
        recipe = dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, save_minutes=often))
    run, method = recipe.run, recipe.method(spec)
    sizes = {player.name: sum(p.numel() for p in player.parameters) for player in method.players}
    notes = [
        f"recipe {name_of(type(recipe))} · {'x'.join(map(str, spec.shape[:0:-1]))} · batch {run.batch} · "
        + " + ".join(f"{count / 1e6:.2f} M {name}" for name, count in sizes.items() if count > 1)  # ADA's strength is a number
        + (f" · {spec.classes} classes" if spec.classes else "")
        + f" · {torch.get_num_threads()} threads · {device}",
        *notes,
        *more,
        *([short] if (short := too_few(run.evaluate, method, data)) else []),
        f"about {duration(run.examples / rate)} at {rate:,.0f} images/s",
    ]
    shown = {"columns": columns} if (columns := captions(method)) else {}
    return recipe, {"notes": notes, "images_per_second": round(rate, 1), "parameters": sizes, **shown}


def _go(
    recipe: Any, data: Any, spec: Any, folder: Folder, content: dict, device: torch.device, voice: Voice, code: Collection[str]
) -> TrainedRun:
    facts = {"recipe": {key: content[key] for key in ("recipe", "fields")}, "machine": changes.machine(device)}
    voice.say(f"run     {folder.path}   (Ctrl-C saves and stops; continue: gan resume {folder.typed})")
    with signals.listening() as stop:

        def attempt(chosen: Any, restart: Restart) -> Progress:
            run, method = chosen.run, _build(chosen, spec, folder)
            if run.compile:
                batch = next(data.batches(run.batch, seed=run.seed, device=str(device)))
                voice.say(f"Plan    {machine.compile_networks(method, lambda: _build(chosen, spec, folder), batch, device, run.precision)}")
            observer = Observer(folder, method, content, voice, data, code) if parallel.world()[0] == 0 else None
            try:
                return train_loop(
                    method,
                    data,
                    run,
                    folder=folder.path,
                    device=device,
                    watcher=observer,
                    stop=stop,
                    restart=restart,
                    facts=facts,
                    opinion=observer.opinion if observer else Opinion,
                )
            finally:
                voice.close()
                if observer:
                    observer.close()

        try:
            now = recover.persevere(attempt, recipe, folder.path, voice.say)
        except GanforgeError as error:
            voice.note(f"error: {error}")  # whoever catches it shows it
            raise
    if now.seen >= now.total:
        voice.say(f"done    {now.seen:,} images · open {folder.path / 'report.html'}")
        voice.say(f"next    {next_step(folder.path, folder.json('plan.json'), content['fields'].get('task', ''))}")
    else:
        voice.say(f"stopped at {now.seen:,} of {now.total:,} images, saved. Continue exactly: gan resume {folder.typed}")
    if parallel.world()[0] == 0:
        try:
            report.write(folder.path)
        except OSError as error:
            voice.say(f"the report could not be written: {error}")
    return TrainedRun(folder.path, now.seen, now.total, stop.exit_code if now.seen < now.total else 0)


def _build(recipe: Any, spec: Any, folder: Folder) -> Method:
    """The method with its first weights, a function of the run's seed and of what it inherits, in the chosen layout."""
    torch.manual_seed(recipe.run.seed)
    method = recipe.method(spec)
    take_over(method, spec, folder)
    method.to(spec.device)
    machine.layout(method, recipe.run.layout)
    return method


def _reals(data: Any) -> Any:
    """A grid of real images, laid out as the fakes will be: by class where there are classes."""
    classes = data.spec.classes
    columns = classes if 2 <= classes <= 12 else 8
    count = min(SAMPLES // columns * columns, len(data.images))
    if not classes or columns != classes:
        order = torch.randperm(len(data.images), generator=torch.Generator().manual_seed(0))[:count]
    else:
        of = [(data.labels == c).nonzero().flatten() for c in range(classes)]
        order = torch.stack([of[i % classes][i // classes % max(len(of[i % classes]), 1)] for i in range(count) if len(of[i % classes])])
    return grid(data.images[order], columns=columns)


def _plain_spec(spec: Any) -> dict[str, Any]:
    plain = {"shape": list(spec.shape), "classes": spec.classes, "names": list(spec.names), "count": spec.count}
    return plain | ({"given": list(spec.given)} if spec.given else {})
