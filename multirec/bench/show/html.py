"""A report of runs as one HTML page that needs nothing else: tables and figures, in light and dark."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterator, Sequence
from html import escape

import matplotlib

from multirec.errors import ArgumentError

from ..results.format import Axis, Document
from .draw import figure
from .panels import METRICS, swept_axes
from .report import closing, introduction, legend
from .shares import shares
from .table import Row, Table, tables

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #6a737d; --line: #d5d9de; --paper: #fff; --soft: #f4f6f8;
  --good: #116329; --bad: #b42318; --unsure: #8a5a00 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --faint: #9aa4af; --line: #3a4048; --paper: #16191d;
  --soft: #1f2429; --good: #4cc38a; --bad: #ff8a80; --unsure: #e3b341 } }
body { margin: 2rem auto; max-width: 66rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif }
h1, h2, h3 { line-height: 1.25; margin: 2rem 0 .5rem } h1 { margin-top: 0 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem }
dt { color: var(--faint) } dd { margin: 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child, td.reason { text-align: left } td.reason { white-space: normal; color: var(--unsure) }
th { color: var(--faint); font-weight: 600 } tr.best { background: var(--soft); font-weight: 600 }
tr.failed_check td.reason, tr.bad_time td.reason { color: var(--bad) }
tr.crash td.reason, tr.oom td.reason, tr.timeout td.reason { color: var(--bad) }
p.remark { margin: .3rem 0 } .remark { color: var(--faint) } tr.remark td { border: 0; white-space: normal }
tr.case th { padding-top: 1.2rem; text-align: left; color: var(--ink) }
td span { display: inline-block; max-width: calc(100vw - 10rem) } pre { font-size: 13px }
img { max-width: 100%; height: auto; margin: .5rem 0 }
"""


def html_report(documents: Sequence[Document]) -> str:
    """Return the page: of each run its machine, tables and notes, then figures of all runs together."""
    title = escape(", ".join(document["run"]["name"] for document in documents))
    parts = [part for document in documents for part in _run(document)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>multirec bench: {title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>multirec bench</h1>\n{''.join(parts)}<h2>Figures</h2>\n{''.join(_figures(documents))}</body>\n</html>\n"
    )


def _run(document: Document) -> Iterator[str]:
    run = document["run"]
    yield f"<h2>{escape(run['name'])}</h2>\n"
    yield _definitions([*introduction(document), ("started", run["started"]), ("command", run["command"])])
    columns: list[str] = []
    for table in tables(document):
        columns += [column for column in table.columns if column not in columns]
        yield f"<h3>{escape(table.title)}</h3>\n"
        yield _table(table, several=len(document["cases"]) > 1)
        yield from (_remark(text) for text in table.remarks)
    lines = [line.text for line in shares(document)]
    if lines:
        text = escape("\n".join(lines).strip())
        yield f'<h3>What the application calls</h3>\n<div class="wide"><pre>{text}</pre></div>\n'
    yield f"<h3>What the columns mean</h3>\n{_definitions([*legend(document, columns)])}"
    yield from (_remark(text) for text in closing(document))


def _table(table: Table, several: bool) -> str:
    width = 1 + len(table.columns)
    head = "".join(f"<th>{escape(title.strip())}</th>" for title in ("contestant", *table.columns))
    rows = [f"<tr>{head}</tr>"]
    for group in table.groups:
        if several:
            rows.append(f'<tr class="case"><th colspan="{width}">{escape(group.title)}</th></tr>')
        rows += [text for row in group.rows for text in _rows(row, width)]
        rows += [f'<tr class="remark"><td colspan="{width}">{_span(text)}</td></tr>' for text in group.remarks]
    return f'<div class="wide"><table>\n{chr(10).join(rows)}\n</table></div>\n'


def _rows(row: Row, width: int) -> Iterator[str]:
    kind = f"{row.status} best" if row.best else row.status
    name = f"<td>{escape(row.contestant)}</td>"
    if row.texts:
        yield f'<tr class="{kind}">{name}{"".join(f"<td>{escape(text)}</td>" for text in row.texts)}</tr>'
    if row.status != "ok":
        why = f'<td class="reason" colspan="{width - 1}">{_span(f"{row.status}: {row.reason}")}</td>'
        yield f'<tr class="{kind}">{"<td></td>" if row.texts else name}{why}</tr>'


def _span(text: str) -> str:
    """Return a text that is not wider than the screen, where its table is."""
    return f"<span>{escape(text)}</span>"


def _definitions(pairs: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>\n" for name, text in pairs) + "</dl>\n"


def _remark(text: str) -> str:
    return f'<p class="remark">{escape(text)}</p>\n'


def _figures(documents: Sequence[Document]) -> Iterator[str]:
    axes: list[Axis | None] = [*swept_axes(documents)] or [None]
    for axis in axes:
        for metric in METRICS:
            try:
                light, dark = (_embedded(documents, metric, axis, dark) for dark in (False, True))
            except ArgumentError:
                # a run without such values has a page without this figure
                continue
            about = escape(METRICS[metric].title + (f" by {axis}" if axis else ""))
            yield (
                f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
                f'<img src="{light}" alt="{about}"></picture>\n'
            )


def _embedded(documents: Sequence[Document], metric: str, axis: Axis | None, dark: bool) -> str:
    out = io.BytesIO()
    # text as text keeps the page small; the date would make every page another
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "multirec"}):
        figure(documents, metric, axis, dark).savefig(out, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{b64encode(out.getvalue()).decode()}"
