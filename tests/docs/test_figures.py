"""The figures in README and docs are those of the committed results: every measured table is derived again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import product
from operator import truediv
from pathlib import Path
from statistics import median
from typing import Any

from click.testing import CliRunner
from pages import ROOT, blocks

from multirec.bench.cases.case import MODES
from multirec.bench.results import statistics
from multirec.bench.show.text import digits
from multirec.cli import cli

RESULTS = ROOT / "bench" / "results"
BENCHMARKS = ROOT / "docs" / "benchmarks.md"
COSTS = ROOT / "docs" / "explanation" / "cuda-costs.md"
METHOD = ROOT / "docs" / "explanation" / "benchmark-method.md"


def kept(name: str) -> Any:
    return json.loads((RESULTS / f"{name}-epyc-2-cores.json").read_text())


def table(page: Path, head: str) -> list[list[str]]:
    """Return the rows below the line of a page that is the head of a table."""
    lines = page.read_text(encoding="utf-8").splitlines()
    (at,) = [number for number, line in enumerate(lines) if line == head]
    found = []
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            break
        found.append([text.strip() for text in line.strip("|").split("|")])
    return found


def test_the_biquads_table_is_what_show_prints() -> None:
    file = RESULTS / "biquads-epyc-2-cores.json"
    shown = CliRunner().invoke(cli, ["bench", "show", "-v", str(file)], terminal_width=100).output
    (text,) = [block.text for block in blocks(BENCHMARKS) if block.text.startswith("$ multirec bench --")]
    command, _, rest = text.partition("\n")
    assert command == f"$ {kept('biquads')['run']['command']}"
    assert rest.split() == shown.split()


def test_the_sweep() -> None:
    file = RESULTS / "sweep-epyc-2-cores.json"
    shown = CliRunner().invoke(cli, ["bench", "show", str(file), "--format", "markdown"]).output
    assert file.with_suffix(".md").read_text(encoding="utf-8") == shown
    found, text = kept("sweep"), " ".join(BENCHMARKS.read_text(encoding="utf-8").split())
    assert found["run"]["command"] in text
    slower = {mode: [1 / row["ratio"] for row in found["ratios"] if row["mode"] == mode] for mode in MODES}
    (forward, most), (both, most_of_both) = ((digits(min(of), 0.1), digits(max(of), 1)) for of in slower.values())
    assert f"takes {forward} to {most} times as long as `numba` forward, and {both} to {most_of_both} times" in text
    assert f'In all {len(found["ratios"])} cells with times of both, `backend="auto"` picks the faster one' in text
    assert {row["regret"] for row in found["regret"]} == {1.0}
    assert len(found["regret"]) == len(found["ratios"])


def workload_rows() -> Iterator[list[str]]:
    for key, row in kept("workloads")["rows"].items():
        work, mode = key.replace("both", "forward+backward").split(" ")
        limit = row["milliseconds"].pop("limit")
        for name, taken in row["milliseconds"].items():
            rounds = median(ours / its for ours, its in zip(taken, limit, strict=True))
            yield [work, mode, name, f"{min(taken):.3g}", f"{min(taken) / min(limit):.2f}", f"{rounds:.2f}"]


def test_workloads() -> None:
    head = "| work | mode | contestant | best, ms | of the limit, by best | of the limit, median of rounds |"
    assert table(BENCHMARKS, head) == list(workload_rows())


def overhead_rows() -> Iterator[list[str]]:
    times = kept("overhead")["microseconds"]
    for call, now in times["now"].items():
        before = times["before"].get(call)
        yield [call, "" if before is None else f"{median(before):.1f}", f"{median(now):.1f}"]


def test_overhead() -> None:
    assert table(BENCHMARKS, "| call | 0.1.0, µs | 0.2.0, µs |") == list(overhead_rows())


def readme() -> str:
    return " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


def test_readme_on_torchaudio() -> None:
    ratios = {row["mode"]: row["ratio"] for row in kept("biquads")["ratios"] if row["contestant"] == "torchaudio"}
    forward, both = (f"{float(f'{1 / ratios[mode]:.0e}'):.0f}" for mode in ("forward", "forward+backward"))
    assert (
        f"torchaudio takes about {forward} times as long as `numba` forward and {both} times with backward" in readme()
    )
    rows = [kept("workloads")["rows"][key]["milliseconds"] for key in ("W1 forward", "W1 both")]
    forward, both = (f"{median(row['torchaudio']) / median(row['numba']):.0f}" for row in rows)
    assert f"with seven, gave {forward} and {both} times by medians" in readme()


def of_multirec(row: str, contestant: str) -> float:
    seconds = kept("filters")["rows"][row]["seconds"]
    return median(map(truediv, seconds[contestant], seconds["multirec"]))


def filter_rows() -> Iterator[list[str]]:
    for name, row in kept("filters")["rows"].items():
        for contestant, taken in row["seconds"].items():
            off = "" if contestant == "multirec" else f"{row['off'][contestant]:.0e}"
            yield [
                *(row["what"].removesuffix("."), contestant, f"{median(taken) * 1e3:.3g}", f"{min(taken) * 1e3:.3g}"),
                *(f"{of_multirec(name, contestant):.3g}", off),
            ]


def test_filters() -> None:
    assert table(BENCHMARKS, "| work | contestant | median, ms | best, ms | of multirec | off |") == list(filter_rows())
    about, text = kept("filters")["about"], " ".join(BENCHMARKS.read_text(encoding="utf-8").split())
    named = {"NumPy": "numpy", "SciPy": "scipy", "torch": "torch", "torchaudio": "torchaudio", "llvmlite": "llvmlite"}
    found = {name: about["versions"][own] for name, own in named.items()} | {"Python": about["python"]}
    assert not [f"{name} {version}" for name, version in found.items() if f"{name} {version}" not in text]
    assert f"`python bench/filters.py --rounds {about['rounds']} -o " in text


def filter_goals() -> Iterator[tuple[float, bool]]:
    """Yield what was reached of each goal, and whether that is enough."""
    for row, contestant, least in (
        ("sections_forward", "SciPy, looped", 15),
        ("sections_forward", "torchaudio", 10),
        ("sections_with_gradient", "torchaudio", 15),
        ("long_stereo", "SciPy", 3),
        ("both_ways", "SciPy", 4),
    ):
        found = of_multirec(row, contestant)
        yield found, found >= least
    found = 1 / of_multirec("small", "SciPy")
    yield found, found <= 2


def test_filter_goals() -> None:
    said = [text for _, text in table(BENCHMARKS, "| goal | reached |")]
    assert said == [f"{found:.1f}×" + ("" if enough else ", missed") for found, enough in filter_goals()]


def test_readme_on_filters() -> None:
    scipy, forward = (of_multirec("sections_forward", name) for name in ("SciPy, looped", "torchaudio"))
    both = of_multirec("sections_with_gradient", "torchaudio")
    times = f"takes {scipy:.0f} times as long, and torchaudio {forward:.0f} times forward and {both:.0f} times with the"
    assert f"SciPy, called filter by filter, {times} gradient" in readme()


def medians(work: str, mode: str) -> dict[str, float]:
    return {name: median(taken) for name, taken in kept("jax")["rows"][f"{work} {mode}"]["milliseconds"].items()}


def test_readme_on_jax() -> None:
    forward, both = medians("W1", "forward"), medians("W1", "forward+backward")
    assert (
        f"That took {forward['auto']:.0f} ms forward, where `lax.scan` took {forward['jax_scan']:.0f}, and "
        f"{both['auto']:.0f} ms with backward, where it took {both['jax_scan']:.0f} "
    ) in readme()


NAMES = {"auto": "auto: numba", "jax_scan": "`lax.scan`", "jax_assoc": "`associative_scan`"}
NAMES |= {"numpy fill": "a fill by NumPy", "xla fill": "a fill by XLA"}


def jax_rows() -> Iterator[list[str]]:
    for key, row in sorted(kept("jax")["rows"].items()):
        work, mode = key.split(" ")
        samples, held = row["milliseconds"], row["inputs_and_outputs_bytes"]
        ours = samples["auto"]
        order = ["auto", "jax", "jax_scan", "jax_assoc", "philtorch", "numpy fill", "xla fill"]
        for name in filter(samples.__contains__, order):
            taken, grown = samples[name], row["peak_growth_bytes"].get(name)
            yield [
                *(work, mode, NAMES.get(name, name), f"{median(taken):.0f}", f"{min(taken):.0f}"),
                *(f"{median(taken) / median(ours):.1f}", f"{min(taken) / min(ours):.1f}"),
                *(f"{row['first_seconds'][name]:.1f}", "" if grown is None else f"{grown / held:.1f}"),
            ]


def test_jax() -> None:
    head = "| work | mode | contestant | median, ms | best, ms | of auto, medians | of auto, best | first call, s |"
    head += " memory |"
    assert table(BENCHMARKS, head) == list(jax_rows())


def jax_goals() -> Iterator[list[str]]:
    report = kept("jax")

    def times(work: str, mode: str, peer: str) -> list[str]:
        found = medians(work, mode)
        theirs = min(found[name] for name in peer.split())
        return [f"{theirs / found[name]:.1f}×" for name in ("auto", "jax")]

    for mode, peer in product(("forward", "forward+backward"), ("jax_scan", "jax_assoc")):
        yield times("W1", mode, peer)
    yield times("W5", "forward", "jax_scan jax_assoc")
    yield times("W5", "forward", "philtorch")
    yield times("W8", "forward", "jax_scan jax_assoc")
    filled = medians("W1", "forward")
    yield [f"{filled[name] / filled['numpy fill']:.1f}" for name in ("auto", "jax")]
    rows = report["rows"].values()
    yield [
        f"{max(row['peak_growth_bytes'][name] / row['inputs_and_outputs_bytes'] for row in rows):.1f}"
        for name in ("auto", "jax")
    ]
    yield [f"{report['rows']['W1 forward']['first_seconds'][name]:.1f} s" for name in ("auto", "jax")]
    yield [f"{report['float32_error_of_steps'][name]:.1f}×" for name in ("auto", "jax")]


def test_jax_goals() -> None:
    said = [[text.removesuffix(", missed") for text in row[1:]] for row in table(BENCHMARKS, "| goal | auto | jax |")]
    assert said == list(jax_goals())


def test_when_auto_calls_numba_from_jax() -> None:
    rows = kept("jax-sizes")["rows"]
    said = table(BENCHMARKS, "| x | forward | forward+backward |")
    for x, *counts in said:
        calls = (rows[f"{x}, order 2: {mode}"]["calls"] for mode in ("forward", "both"))
        assert counts == ["never" if count is None else str(count) for count in calls]
    assert said


def host_calls() -> Iterator[list[str]]:
    for work, row in kept("jax-callbacks")["rows"].items():
        ours, grown = row["seconds"]["foreign"], row["peak_growth_bytes"]
        ratios = [median(map(truediv, row["seconds"][name], ours)) for name in ("pure", "python", "buffer")]
        memory = (f"{grown[name] / 2**20:.0f}" for name in ("foreign", "pure", "python", "buffer"))
        yield [work, f"{min(ours) * 1e3:.3g}", *(f"{ratio:.1f}" for ratio in ratios), " / ".join(memory)]


def test_how_programs_call_the_host() -> None:
    head = "| work | multirec, ms | `pure_callback` | jaxlib's callback | `buffer_callback` | memory, MiB |"
    assert table(BENCHMARKS, head) == list(host_calls())


def on_h100() -> dict[tuple[str, str], Any]:
    """Return the rows with times of the run on an H100, by item and mode."""
    rows = json.loads((RESULTS / "h100-benchmark.json").read_text())["rows"]
    return {(row["item"], row["mode"]): row for row in rows if "cold" in row or "host" in row}


def gpu_rows() -> Iterator[list[str]]:
    found = on_h100()
    for item in dict.fromkeys(item for item, _ in found):
        if (item, "backward") not in found:
            continue
        back, both = found[item, "backward"], found.get((item, "forward+backward"))
        forward = found[item, "forward"]
        cells = [text for row in (forward, back) for text in (f"{row['cold']:.4g}", f"{row['fraction']:.2f}")]
        yield [item.replace("forum", "biquads"), *cells, "" if both is None else f"{both['over_floor']:.2f}"]


def gpu_peers() -> Iterator[list[str]]:
    for (item, mode), row in on_h100().items():
        if "ratio" in row:
            yield [item.removeprefix("peer: "), mode, f"{row['cold']:.4g}", f"{row['ratio']:.3g}", f"{row['own']:.4g}"]


def test_gpu() -> None:
    head = "| work | forward, µs | of the bandwidth | backward, µs | of the bandwidth | both, over the floor |"
    assert table(BENCHMARKS, head) == list(gpu_rows())
    assert table(BENCHMARKS, "| contestant | mode | µs | times `cupy` | `cupy`, µs |") == list(gpu_peers())
    text = " ".join(BENCHMARKS.read_text(encoding="utf-8").split())
    call, add = (row["host"] for (_, mode), row in on_h100().items() if mode.startswith("host time"))
    assert f"a forward call on a short chunk takes {call:.0f} µs of the host, where `torch.add` takes {add:.1f}" in text


def test_predictions_stand_beside_what_was_measured() -> None:
    found, names = on_h100(), {"W1": "W1 forum", "W3": "W3 long", "W4": "W4 order 16"}
    head = "| work | kind | floor | forward, 0.1.0 | forward, predicted | backward, 0.1.0 | backward, predicted |"
    rows = table(COSTS, head)
    assert len(rows) == 7
    for work, _, floor, forward, _, backward, _ in rows:
        item = names.get(work, work)
        for mode, cell in (("forward", forward), ("backward", backward)):
            assert cell == f"{found[item, mode]['cold']:.0f}"
        # of W1 with one thing changed, what it takes to write y is that of W1
        assert floor == f"{found[item if item in names.values() else 'W1 forum', 'forward']['floor']:.0f}"


def test_readme_on_the_gpu() -> None:
    found = on_h100()
    ways = []
    for mode in ("forward", "backward"):
        row = found["W1 forum", mode]
        ways.append(f"{row['cold']:.0f} µs {mode}, {100 * row['fraction']:.0f} % of the card's bandwidth")
    forward, both = (found["peer: torchaudio", mode]["ratio"] for mode in ("forward", "forward+backward"))
    assert " and ".join(ways) in readme()
    assert f"torchaudio took {forward:.0f} times as long forward and {both:.0f} times with backward" in readme()


def judged(figure: dict[str, Any]) -> str:
    """Return what today's rule calls a run of the harness."""
    if "ratio" not in figure:
        return "nothing"
    found = statistics.Ratio(*(figure[key] for key in ("ratio", "low", "high", "rounds")))
    return statistics.verdict(found, figure["floor"])


def test_promises_of_the_harness() -> None:
    report, rows = kept("aa"), table(METHOD, "| experiment | runs | tie | slower | faster, unclear | no figures |")
    for row, kind in zip(rows, ("tie", "tie-loaded", "slower"), strict=True):
        found = report[kind]["verdicts"]
        figures = report[kind]["figures"]
        assert Counter(map(judged, figures)) == found
        assert len(figures) == report[kind]["runs"]
        counts = [report[kind]["runs"], found.get("tie", 0), found.get("slower", 0)]
        counts += [found.get("faster", 0) + found.get("unclear", 0), found.get("nothing", 0)]
        assert row[1:] == [str(count) for count in counts]
    text = " ".join(METHOD.read_text(encoding="utf-8").split())
    ratios = report["timer"]["ratios"]
    assert (
        f"The median over {len(ratios)} runs of our median over Timer's mean was {median(ratios):.2f}, with single "
        f"runs from {min(ratios):.2f} to {max(ratios):.2f}"
    ) in text
