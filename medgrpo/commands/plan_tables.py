"""The tables of a plan, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medgrpo.evaluation.tables import grid
from medgrpo.planning import Gpu, RunSizes

__all__ = ["plan_tables", "sft_tables"]

DAY = 86400


def plan_tables(found: Mapping[str, Any], sizes: RunSizes, gpu: Gpu, style: str) -> str:
    """All tables of a plan.

    Args:
        found: What :func:`medgrpo.planning.report.plan` gives.
        sizes: That it was asked for.
        gpu: That it was asked for.
        style: ``text`` or ``markdown``.
    """
    reached = f"{gpu.utilisation:.0%} of FLOP/s, {gpu.bandwidth_utilisation:.0%} of bandwidth"
    tables = {
        "Parameters": _parameters(found, style),
        f"Memory of one of {sizes.gpus} x {gpu.name} in the update, GB ({sizes.strategy})": _update(
            found, gpu, style
        ),
        "Memory of one GPU in generation, GB": _generation(found, gpu, style),
        f"A round of {sizes.prompts} x {sizes.group} answers, PFLOP": _flops(found, style),
        f"Seconds of a round at {reached}": _seconds(found, style),
        "GB that one GPU reads to decode its share of a round": _reads(found, style),
        "A day": _day(found, sizes, style),
    }
    return _titled(tables, style)


def sft_tables(found: Mapping[str, Any], sizes: RunSizes, gpu: Gpu, style: str) -> str:
    """All tables of a plan of SFT.

    Args:
        found: What :func:`medgrpo.planning.sft_report.plan_sft` gives.
        sizes: That it was asked for.
        gpu: That it was asked for.
        style: ``text`` or ``markdown``.
    """
    batch = f"a micro-batch of {sizes.groups_per_batch} x {sizes.group} answers of {sizes.answer} tokens"
    columns = {"checkpointing": found["memory"]["checkpointing"], "kept": found["memory"]["kept"]}
    work = [
        [phase, _peta(flops["total"]), f"{found['seconds'][phase]:.2f}"]
        for phase, flops in found["flops"].items()
    ]
    tables = {
        "Parameters": _parameters(found, style),
        f"Memory of one of {sizes.gpus} x {gpu.name} in {batch}, GB ({sizes.strategy})": _held(
            columns, gpu, style
        ),
        f"An optimizer step of {sizes.prompts} clips at {gpu.utilisation:.0%} of FLOP/s": grid(
            ["phase", "PFLOP", "seconds"], work, style
        ),
    }
    return _titled(tables, style)


def _titled(tables: Mapping[str, str], style: str) -> str:
    heading = "### " if style == "markdown" else ""
    return "\n\n".join(f"{heading}{title}\n\n{table}" for title, table in tables.items())


def _parameters(found: Mapping[str, Any], style: str) -> str:
    body = [[part, f"{count:,}"] for part, count in found["parameters"].items()]
    body += [["all", f"{sum(found['parameters'].values()):,}"], ["trained", f"{found['trainable']:,}"]]
    return grid(["part", "parameters"], body, style)


def _update(found: Mapping[str, Any], gpu: Gpu, style: str) -> str:
    columns = {
        f"{layout}, {name}": held
        for layout, kinds in found["memory"]["update"].items()
        for name, held in kinds.items()
    }
    return _held(columns, gpu, style, found["memory"]["vllm"]["share"])


def _held(columns: Mapping[str, Mapping[str, float]], gpu: Gpu, style: str, vllm: float | None = None) -> str:
    """What is held in each case, and what that leaves."""
    names = list(dict.fromkeys(name for held in columns.values() for name in held))
    body = [[name, *(_gb(held.get(name)) for held in columns.values())] for name in names]
    totals = [sum(held.values()) for held in columns.values()]
    body.append(["all", *map(_gb, totals)])
    body.append([f"left of {gpu.memory / 1e9:g}", *(_gb(gpu.memory - total) for total in totals)])
    if vllm is not None:
        body.append(["left beside vLLM", *(_gb(gpu.memory - vllm - total) for total in totals)])
    return grid(["held", *columns], body, style)


def _generation(found: Mapping[str, Any], gpu: Gpu, style: str) -> str:
    memory = found["memory"]
    held, vllm = memory["generation"], memory["vllm"]
    total = sum(held.values())
    body = [[name, _gb(size)] for name, size in held.items()]
    body += [
        ["all, hf engine", _gb(total)],
        [f"left of {gpu.memory / 1e9:g}", _gb(gpu.memory - total)],
        ["for comparison: keys and values of prompts, once an answer", _gb(memory["prompt_kv_repeated"])],
        ["vLLM instead: its share", _gb(vllm["share"])],
        ["of which weights", _gb(vllm["weights"])],
        ["thousand tokens whose keys and values fit", f"{max(0.0, vllm['kv_tokens']) / 1e3:.0f}"],
        ["thousand tokens of a GPU's share of a round", f"{vllm['needed_tokens'] / 1e3:.0f}"],
    ]
    return grid(["held", "GB"], body, style)


def _flops(found: Mapping[str, Any], style: str) -> str:
    packed, rows = found["flops"]["packed"], found["flops"]["rows"]
    body = [
        [phase, *(_peta(side[phase]["total"]) for side in (packed, rows)), _share(packed[phase])]
        for phase in packed
    ]
    totals = [sum(flops["total"] for flops in side.values()) for side in (packed, rows)]
    attention = sum(flops["attention"] for flops in packed.values()) / totals[0]
    body.append(["all", *map(_peta, totals), f"{attention:.2f}"])
    return grid(["phase", "packed", "rows", "attention's share, packed"], body, style)


def _seconds(found: Mapping[str, Any], style: str) -> str:
    packed, rows = found["seconds"]["packed"], found["seconds"]["rows"]
    body = [
        [
            phase,
            f"{packed[phase]['compute']:.2f}",
            f"{packed[phase]['traffic']:.2f}" if packed[phase]["traffic"] else "-",
            f"{packed[phase]['seconds']:.2f}",
            f"{rows[phase]['seconds']:.2f}",
        ]
        for phase in packed
    ]
    body.append(["all", "", "", f"{_total(packed):.2f}", f"{_total(rows):.2f}"])
    return grid(["phase", "from FLOPs", "from bytes", "packed", "rows"], body, style)


def _reads(found: Mapping[str, Any], style: str) -> str:
    read = found["decode_bytes"]
    body = [
        ["hf engine: a prompt once for all its answers", f"{read['hf'] / 1e9:,.0f}"],
        ["each answer its prompt for itself, as vLLM's paged attention", f"{read['vllm'] / 1e9:,.0f}"],
    ]
    return grid(["keys and values", "GB"], body, style)


def _day(found: Mapping[str, Any], sizes: RunSizes, style: str) -> str:
    body = []
    for layout, phases in found["seconds"].items():
        total = _total(phases)
        update = phases["update"]["seconds"]
        body.append(
            [
                layout,
                f"{sizes.prompts * sizes.group * sizes.answer / phases['decode']['seconds']:,.0f}",
                f"{sizes.prompts * found['group_tokens'][layout] / update:,.0f}",
                f"{DAY / total:,.0f}",
            ]
        )
    head = ["layout", "answer tokens/s, decode", "forwarded tokens/s, update", "rounds a day"]
    return grid(head, body, style)


def _total(phases: Mapping[str, Mapping[str, float]]) -> float:
    return sum(phase["seconds"] for phase in phases.values())


def _share(flops: Mapping[str, float]) -> str:
    return f"{flops['attention'] / flops['total']:.2f}" if flops["total"] else "-"


def _gb(size: float | None) -> str:
    return "-" if size is None else f"{size / 1e9:.1f}"


def _peta(flops: float) -> str:
    return f"{flops / 1e15:.1f}"
