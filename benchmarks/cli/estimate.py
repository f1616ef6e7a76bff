"""Commands that count: estimate, costs, floorplan, sensitivity, methods."""

from __future__ import annotations

from typing import Annotated, Literal

from tyro.conf import arg

from benchmarks.cli.options import (
    DEFAULT_HARDWARE,
    STANDARD_OUTPUT,
    ChangedShare,
    Csv,
    FigureFile,
    HardwareName,
    Json,
    MethodName,
    Model,
)
from benchmarks.cli.show import check_outputs, show, write_csv


def estimate(
    model: Model = "flan-t5-large",
    method: MethodName = "lorafusion",
    hardware: HardwareName = DEFAULT_HARDWARE,
    *,
    placement: Annotated[Literal["crossbar", "sram"] | None, arg(help="where trained matrices live")] = None,
    steps: Annotated[int | None, arg(metavar="N", help="training steps; default: the method's")] = None,
    batch: Annotated[int | None, arg(metavar="N", help="samples per step; default: the method's")] = None,
    tokens: Annotated[int | None, arg(metavar="N", help="tokens per sample; default: the model's")] = None,
    inferences: Annotated[int, arg(metavar="N", help="samples classified after training")] = 100,
    changed_share: ChangedShare = None,
    json: Json = None,
) -> None:
    """Count the whole bill of a method on a model of any size, without its weights."""
    from benchmarks.estimates import estimate as counting
    from benchmarks.estimates.counted import Workload
    from crossbar_sim.counting.activity import Activity

    check_outputs(json)
    record = counting.estimate(
        model,
        method,
        hardware,
        counting.placed(method, placement),
        workload=Workload(steps=steps, batch=batch, tokens=tokens, inferences=inferences),
        activity=None if changed_share is None else Activity(changed_share=changed_share),
    )
    show(record, record, json)


def costs(
    over: Annotated[str, arg(metavar="AXIS", help="tasks, rank, pool, device, levels, tile, steps or model")] = "tasks",
    methods: Annotated[tuple[str, ...], arg(metavar="NAME", help="methods of `xbar methods`")] = (
        "full-fine-tuning",
        "lora",
        "lorafusion",
    ),
    values: Annotated[tuple[str, ...], arg(metavar="X", help="of the axis; default: usual ones")] = (),
    model: Model = "digits-vit",
    hardware: HardwareName = DEFAULT_HARDWARE,
    *,
    tasks: Annotated[int, arg(metavar="N", help="adaptations on one chip, unless they are the axis")] = 1,
    changed_share: ChangedShare = None,
    csv: Csv = None,
    figure: FigureFile = None,
    json: Json = None,
) -> None:
    """Count what reprogramming costs over tasks, rank, pool, ... for several methods, and where they break even."""
    from benchmarks.estimates import costs as counting

    check_outputs(json, figure, csv)
    found = counting.costs(
        over, methods, values, model=model, hardware=hardware, tasks=tasks, changed_share=changed_share
    )
    write_csv(csv, found.found.records)
    show(found.found, None if csv == STANDARD_OUTPUT else found, json, figure, found)


def floorplan(
    model: Model = "flan-t5-large",
    method: MethodName = "lorafusion",
    hardware: HardwareName = DEFAULT_HARDWARE,
    tiles_per_chip: Annotated[int | None, arg(metavar="N", help="also count chips")] = None,
    figure: FigureFile = None,
    json: Json = None,
) -> None:
    """Tiles per layer and for what a method adds, their utilisation, and chips."""
    from benchmarks.estimates import floor_plan

    check_outputs(json, figure)
    plan = floor_plan.plan_of(model, method, hardware, tiles_per_chip)
    show(plan.record(), plan, json, figure, plan)


def sensitivity(
    model: Model = "digits-vit",
    methods: Annotated[tuple[str, ...], arg(metavar="NAME", help="methods to rank; default: all that fit")] = (),
    hardware: HardwareName = DEFAULT_HARDWARE,
    fitted: Annotated[bool, arg(help="vary fitted numbers too, not only assumed ones")] = False,
    changed_share: Annotated[float, arg(metavar="X", help="trained cells whose level changes in a step")] = 1.0,
    figure: FigureFile = None,
    json: Json = None,
) -> None:
    """Halve and double every assumed number of a design: does the ranking of the methods by energy change?"""
    from benchmarks.estimates import sensitivity as counting
    from crossbar_sim.counting.activity import Activity

    check_outputs(json, figure)
    kinds = ("assumed", "fitted") if fitted else ("assumed",)
    found = counting.sensitivity(model, hardware, methods, kinds=kinds, activity=Activity(changed_share=changed_share))
    show(found.record(), found, json, figure, found)


def methods(json: Json = None) -> None:
    """List the methods: where trained tensors live, how many cells a step may write, which reads they need."""
    from benchmarks.estimates.methods import method_records, table

    check_outputs(json)
    records = method_records()
    show(records, table(records), json)
