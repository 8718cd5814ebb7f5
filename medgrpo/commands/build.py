"""Construct instruction data from the annotations of source datasets: records, frames, splits, manifest.

The same command continues a build that was stopped, without paying twice for what was answered, and ends with
the same bytes. Nothing is sent to another machine unless a writer of the config has allow_remote: true.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.commands.build_sample import write_sample
from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.data.build.build import Build, BuildReport

__all__ = ["add_arguments", "parsed_build", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--config",
        "-c",
        action="append",
        default=[],
        required=True,
        metavar="FILE",
        help="config with a key build, as in configs/build; may be given several times, later over earlier",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a value over the config's, e.g. --set paths.out=/data/build or --set build.sources.AVOS=null",
    )
    parser.add_argument(
        "--validate", action="store_true", help="read all annotations, tell what is wrong, and build nothing"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="count questions and price the texts without a request"
    )
    parser.add_argument(
        "--parquet", type=Path, metavar="DIR", help="also export the records for Hugging Face datasets"
    )
    parser.add_argument(
        "--films", type=Path, metavar="DIR", help="also make a film of every clip for people, one MP4 each"
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON and nothing else")


def run(args: argparse.Namespace) -> int:
    """Build; the exit status is 1 if texts are missing or, with --validate, if there are problems."""
    build = parsed_build(args.config, args.set)
    if args.validate:
        return _validate(build, args.json)
    if args.dry_run:
        return _dry_run(build, args.json)
    report = build.verified()
    if not report.texts.missing:
        build.finish(report, write_sample(build, report))
    if args.parquet is not None and report.manifest is not None:
        from medgrpo.data.build.output.hub_export import export_parquet

        export_parquet(build.out, args.parquet)
    films = None
    if args.films is not None and report.manifest is not None:
        films = _films(build, args.films)
    return _told(report, build, films, args.json)


def parsed_build(files: Sequence[str], changes: Sequence[str] = ()) -> Build:
    """The build that config files describe.

    Args:
        files: YAML files with a key ``build``, later over earlier.
        changes: ``KEY=VALUE`` over them.

    Raises:
        UserError: Naming the key that is wrong.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    from medgrpo.compose import compose
    from medgrpo.data.build.build import Build
    from medgrpo.parse_errors import useful_line

    pairs = []
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise UserError(f"--set {change}: expected KEY=VALUE")
        pairs.append((key, value))
    tree = compose(files, pairs, base=None)
    where = ", ".join(files)
    if not isinstance(tree.get("build"), dict):
        raise UserError(f"{where}: no key build; is it a config of build?")
    if unknown := sorted(set(tree) - {"build"}):
        raise UserError(f"{where}: unknown key {unknown[0]}; a build has build, paths and vars")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Build, "build")
    try:
        namespace = parser.parse_object({"build": tree["build"]})
        built: Build = parser.instantiate(namespace).build
    except (ArgumentError, TypeError, ValueError) as error:
        told = _mistake(error)
        raise UserError(f"{where}: {useful_line(str(error)) if told is None else told}") from error
    return built


def _mistake(error: BaseException | None) -> UserError | None:
    """What a part itself said about its arguments, which the parser wraps once for each type it tried."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__
    return error


def _validate(build: Build, as_json: bool) -> int:
    from tqdm import tqdm

    from medgrpo.data.sources.validate import validate

    def shown(source: str, names: Sequence[str]) -> Iterable[str]:
        return tqdm(names, desc=f"read {source}", unit="video", disable=as_json)

    reports = {name: validate(source, partial(shown, name)) for name, source in build.sources.items()}
    if as_json:
        print(json.dumps({name: report.summary() for name, report in reports.items()}))
    else:
        print("\n\n".join(report.table() for report in reports.values()))
    return 1 if any(report.problems or report.refused for report in reports.values()) else 0


def _dry_run(build: Build, as_json: bool) -> int:
    from tqdm import tqdm

    from medgrpo.data.build.pricing import Demand, demand_of, price
    from medgrpo.data.build.templates import source_texts

    preparation = build.preparation()
    demands: dict[str, Demand] = {name: Demand() for name in build.sources}
    for name, video_id in tqdm(build.items, desc="plan videos", unit="video", disable=as_json):
        planned = preparation.planned((name, video_id))
        if planned is not None:
            texts = source_texts(planned.video.source, build.prompts)
            demands[name] += demand_of(planned, texts, build.shown)
    whole = sum(demands.values(), Demand())
    costs = price(whole, build.writers)
    content = {
        "sources": {name: _fields(demand) for name, demand in demands.items()},
        "all": _fields(whole),
        "cost": costs,
    }
    if as_json:
        print(json.dumps(content))
        return 0
    _print_table(
        ["source", *_fields(whole)], [[n, *map(str, _fields(d).values())] for n, d in demands.items()]
    )
    for name, cost in costs.items():
        told = "no price in its limits" if cost is None else f"about {cost:.2f}"
        print(f"writer {name}: {whole.requests} requests, {told}")
    print("nothing was sent; a picture counts as an assumed number of tokens, and speech is not counted")
    return 0


def _fields(demand: Any) -> dict[str, int]:
    import dataclasses

    return dataclasses.asdict(demand)


def _films(build: Build, folder: Path) -> dict[str, int]:
    """Make the films that ``medgrpo media`` makes; counts of what came of it."""
    import os

    from medgrpo.commands.media import record_clips
    from medgrpo.data.build.splits import read_assignment
    from medgrpo.data.review_filling import make_review_clips

    splits = sorted(set(read_assignment(build.out / "splits.json").values()))
    files = [path for split in splits if (path := build.out / f"{split}.json").is_file()]
    clips = [clip for path in files for clip in record_clips(path)]
    made = make_review_clips(clips, folder.resolve(), len(os.sched_getaffinity(0)))
    return {"clips": made.clips, "with_missing_frames": made.incomplete, "failed": len(made.problems)}


def _told(report: BuildReport, build: Build, films: dict[str, int] | None, as_json: bool) -> int:
    """Print what a build came to."""
    texts = report.texts
    content: dict[str, Any] = {
        "videos": dict(report.videos),
        "unusable_videos": _nonzero(report.unusable),
        "problems": _nonzero(report.problems),
        "clips": report.clips,
        "answered_questions": report.drafts,
        "texts": dict(texts.texts),
        "texts_not_given": dict(texts.unusable),
        "texts_missing": dict(texts.missing),
        "left_out": _nonzero(report.dropped),
        "cost": {name: round(float(value), 6) for name, value in texts.cost.items()},
        **({} if films is None else {"films": films}),
        "manifest": None if report.manifest is None else str(report.manifest),
    }
    if as_json:
        print(json.dumps(content))
    else:
        for name, value in content.items():
            shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else value
            print(f"{name.replace('_', ' '):<20} {shown if shown not in ('', None) else '-'}")
        if report.manifest is None:
            print("texts are missing, so nothing was verified; run the same command again to ask for them")
        else:
            print(
                f"wrote {build.out}; what was left out, and why, is in its quarantine.jsonl, rejected.jsonl "
                "and verification.json"
            )
            if (build.out / "review").is_dir():
                print(
                    f"a sample for people: cd {build.out} && {sys.executable} -m app "
                    "--runs review --records review.json"
                )
    return 0 if report.manifest is not None else 1


def _nonzero(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from medgrpo.evaluation.tables import grid

    print(grid(head, rows))
