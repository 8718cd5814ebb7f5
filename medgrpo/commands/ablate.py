"""What each part of the method is worth: rows A-E trained over seeds, a simulated grid, controlled groups.

  medgrpo ablate                          everything: three seeds on two cores take about an hour
  medgrpo ablate --seeds 1                the trained rows with one seed
  medgrpo ablate --parts controlled       only that part
  medgrpo ablate --trained FILE           other rows or sizes (configs/ablation/trained.yaml)

A run that was stopped goes on where it was; what was done with the same settings is not done again. The same
settings give the same JSON files and the same report; how long stages took is in times.json.
docs/ablations.md reads the tables.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError

__all__ = ["add_arguments", "run"]

PARTS = ("controlled", "judges", "simulated", "trained")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--out", type=Path, default=Path("runs/ablation"), metavar="DIR", help="default %(default)s"
    )
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=list(PARTS),
        metavar="PART",
        help=f"of {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="of the trained rows (default %(default)s)"
    )
    parser.add_argument(
        "--simulated-seeds",
        type=int,
        default=20,
        metavar="N",
        help="of the simulated ones (default %(default)s)",
    )
    parser.add_argument(
        "--groups", type=int, default=1_000_000, help="of each controlled experiment (default %(default)s)"
    )
    for name, file in (
        ("trained", "trained.yaml"),
        ("simulated", "simulated.yaml"),
        ("judges", "judges.yaml"),
    ):
        parser.add_argument(
            f"--{name}", type=Path, metavar="FILE", help=f"settings (default: configs/ablation/{file})"
        )
    parser.add_argument("--processes", type=int, help="at a time (default: two, or one on one core)")
    parser.add_argument("--seed", type=int, default=0, help="of the controlled experiments and the judges")


def run(args: argparse.Namespace) -> int:
    """Run what is missing, then report."""
    from medgrpo.ablation.report import report
    from medgrpo.ablation.report.pictures import draw_pictures
    from medgrpo.demo import available_cores
    from medgrpo.services.files import write_whole

    if min(args.seeds, args.simulated_seeds - 1, args.groups) < 1:
        raise UserError("ablate: --seeds and --groups must be at least 1 and --simulated-seeds at least 2")
    if args.processes is not None and args.processes < 1:
        raise UserError(f"ablate: --processes must be at least 1, got {args.processes}")
    processes = args.processes or min(2, available_cores())
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{args.out}: cannot be made ({error.strerror})") from error
    makers: dict[str, Callable[[argparse.Namespace, int], dict[str, Any]]] = {
        "controlled": _controlled,
        "judges": _judges,
        "simulated": _simulated,
        "trained": _trained,
    }
    parts = {name: makers[name](args, processes) for name in PARTS if name in args.parts}
    text = report(parts, draw_pictures(parts, args.out))
    write_whole(args.out / "report.md", text)
    print(f"{text}\nwrote {args.out / 'report.md'}")
    return 0


def _settings(args: argparse.Namespace, part: str) -> Path:
    from medgrpo.compose import config_folder

    given: Path | None = getattr(args, part)
    return given or config_folder() / "ablation" / f"{part}.yaml"


def _controlled(args: argparse.Namespace, processes: int) -> dict[str, Any]:
    from medgrpo.ablation.controlled import controlled_report

    def make() -> dict[str, Any]:
        with _bar("controlled experiments") as told:
            return controlled_report(args.groups, seed=args.seed, progress=told)

    return _kept(args.out / "controlled.json", [args.groups, args.seed], make)


def _judges(args: argparse.Namespace, processes: int) -> dict[str, Any]:
    from medgrpo.ablation.judges import available_judges, caption_pairs, judges_report, read_judges

    path = _settings(args, "judges")
    settings = read_judges(path)
    judges, missing = available_judges(settings)

    def make() -> dict[str, Any]:
        pairs = caption_pairs(settings.captions, args.seed)
        return judges_report(judges, pairs, args.seed) | {"missing": missing}

    asked = sorted((name, judge.id, judge.rubric.name) for name, judge in judges.items())
    return _kept(args.out / "judges.json", [path.read_text(), asked, args.seed], make)


def _simulated(args: argparse.Namespace, processes: int) -> dict[str, Any]:
    from medgrpo.ablation.simulated import read_settings, simulated_report

    path = _settings(args, "simulated")
    settings = read_settings(path)
    seeds = list(range(args.simulated_seeds))

    def make() -> dict[str, Any]:
        with _bar("simulated policies") as told:
            return simulated_report(settings, seeds, processes, told)

    return _kept(args.out / "simulated.json", [path.read_text(), seeds], make)


def _trained(args: argparse.Namespace, processes: int) -> dict[str, Any]:
    from dataclasses import asdict

    from medgrpo.ablation.trained import read_plan, run_graph, trained_nodes, trained_results
    from medgrpo.services.files import write_whole

    plan = read_plan(_settings(args, "trained"))
    seeds = list(range(args.seeds))
    nodes = [node for seed in seeds for node in trained_nodes(plan, args.out, seed)]
    times = run_graph(nodes, args.out, processes)
    results = trained_results(plan, args.out, seeds)
    write_whole(args.out / "times.json", json.dumps([asdict(time) for time in times], indent=1) + "\n")
    write_whole(args.out / "trained.json", json.dumps(results, indent=1) + "\n")
    return results


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar that is told how many jobs are done, of how many, and the name of the last."""
    from tqdm import tqdm

    with tqdm(desc=title, unit="job") as bar:

        def told(done: int, total: int, name: str) -> None:
            bar.total = total
            bar.set_postfix_str(name, refresh=False)
            bar.update(done - bar.n)

        yield told


def _kept(path: Path, recipe: Sequence[Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The results of a file that was made by the same recipe, or new ones, written to it."""
    import medgrpo
    from medgrpo.services.files import write_whole

    made_by = hashlib.sha256(json.dumps([medgrpo.__version__, *recipe]).encode()).hexdigest()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["made_by"] == made_by:
            print(f"{path}: made before with the same settings", flush=True)
            kept: dict[str, Any] = found["results"]
            return kept
    except (OSError, ValueError, TypeError, KeyError):
        pass  # there is none, or it was damaged: it is made again
    results = make()
    write_whole(path, json.dumps({"made_by": made_by, "results": results}, indent=1) + "\n")
    # What a table shows must not depend on whether it was read or made.
    again: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["results"]
    return again
