"""The HTML report in a real browser, where one is installed: light and dark, narrow and wide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import documents
import pytest
from browser import NAMES, Browser, installed

from multirec.bench.show.html import html_report

pytestmark = pytest.mark.long

PAPER = {False: "rgb(255, 255, 255)", True: "rgb(22, 25, 29)"}
_CONTRAST = """(() => {
  const light = text => {
    const part = text.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  return Math.min(...[...document.querySelectorAll('h1, h2, h3, p, dt, dd, th, td')].map(part => {
    const ink = light(getComputedStyle(part).color);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  }));
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = installed()
    if program is None:
        pytest.skip(f"no browser is installed: none of {', '.join(NAMES)} is on the PATH")
    with Browser(program, tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html_report([documents.biquads(), documents.sweep(), documents.recorded()]), encoding="utf-8")
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_report_is_whole(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.show(page, width, dark)
    assert browser.errors() == []
    # every figure is drawn, and is that of the reader's setting
    figures = browser.ask("[...document.images].map(image => [image.complete && image.naturalWidth, image.currentSrc])")
    assert len(figures) >= 4
    assert "75%       30 ×  forward" in browser.ask("document.querySelector('pre').textContent")
    assert all(drawn for drawn, _ in figures)
    chosen = browser.ask("[...document.images].map(image => image.src)")
    assert all((source != light) == dark for (_, source), light in zip(figures, chosen, strict=True))
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == PAPER[dark]
    # wide tables scroll in their own boxes, and nothing is cut off
    assert browser.ask("document.documentElement.scrollWidth") <= width
    for kind in ("img", "td.reason span", "tr.remark span"):
        right = f"[...document.querySelectorAll('{kind}')].map(part => part.getBoundingClientRect().right)"
        assert 0 < max(browser.ask(right)) <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_stands_out_from_the_page(browser: Browser, page: Path, dark: bool) -> None:
    browser.show(page, 1280, dark)
    assert browser.ask(_CONTRAST) >= 4.5


def test_a_fault_of_a_page_is_seen(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "faulty.html"
    page.write_text("<script>nobody.knows()</script><div style='width: 900px'>wide</div><img src='none.png'>")
    browser.show(page, 360, dark=False)
    assert "nobody is not defined" in str(browser.errors())
    assert browser.ask("document.documentElement.scrollWidth") > 360
    assert browser.ask("document.images[0].naturalWidth") == 0
