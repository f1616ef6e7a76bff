"""Figure of mapping quality: signal-to-noise ratio per matrix, and which non-ideality costs it."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks.reporting.figures.style import FAINT, INK, PAGE, SPARE, new_figure, style
from crossbar_sim.quality.report import MatrixQuality, Quality


def mapping_quality(result: Quality) -> Figure:
    """Left: SNR of every matrix, open where conversions clip, and beside it the SNR with one non-ideality off at a
    time, if that was measured. Right: cells per conductance level, summed over the matrices of the same hardware."""
    with style():
        matrices = result.matrices
        figure = new_figure("mapping-quality", PAGE, 1.2 + 0.16 * len(matrices))
        left, right = figure.subplots(1, 2, width_ratios=[2, 1])
        rows = range(len(matrices))
        effects = list(dict.fromkeys(effect for one in matrices for effect in one.gains_dB))
        for index, effect in enumerate(effects):
            colour, marker = SPARE[index % len(SPARE)]
            better = [
                (one.snr_dB + gain, row)
                for row, one in enumerate(matrices)
                if one.snr_dB is not None and (gain := one.gains_dB.get(effect)) is not None
            ]
            left.plot(
                [x for x, _ in better],
                [y for _, y in better],
                linestyle="",
                marker=marker,
                color=colour,
                markersize=3,
                label=f"without {effect.replace('_', ' ')}",
            )
        for clips, fill in ((False, INK), (True, "white")):
            here = [
                (one.snr_dB, row)
                for row, one in enumerate(matrices)
                if one.snr_dB is not None and (one.clipped_share > 0) == clips
            ]
            if here:
                label = "as it is, some conversions clipped" if clips else "as it is"
                left.plot(
                    [x for x, _ in here],
                    [y for _, y in here],
                    linestyle="",
                    marker="o",
                    color=INK,
                    markerfacecolor=fill,
                    markersize=4,
                    label=label,
                )
        left.set_yticks(list(rows), [one.matrix for one in matrices])
        left.invert_yaxis()
        left.grid(axis="y", color=FAINT, linewidth=0.3)
        left.set_xlabel("signal-to-noise ratio of the outputs (dB)")
        for index, (name, counts) in enumerate(_histograms(matrices).items()):
            colour = INK if index == 0 else SPARE[(index - 1) % len(SPARE)][0]
            places = [level / max(len(counts) - 1, 1) for level in range(len(counts))]
            total = max(sum(counts), 1)
            right.plot(places, [count / total for count in counts], color=colour, marker=".", label=name)
        right.set_ylim(bottom=0)
        right.set_xlabel("(G - g_min) / (g_max - g_min)")
        right.set_ylabel("share of the cells")
        figure.legend(loc="outside lower center", ncols=4)
    return figure


def _histograms(matrices: Sequence[MatrixQuality]) -> dict[str, list[int]]:
    """Cells per level by hardware."""
    totals: dict[str, list[int]] = {}
    for one in matrices:
        before = totals.get(one.hardware, [0] * len(one.conductances))
        totals[one.hardware] = [a + b for a, b in zip(before, one.conductances, strict=True)]
    return totals
