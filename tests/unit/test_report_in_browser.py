"""The report in a browser: on a phone, in dark mode, printed, and by keyboard alone."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from absence import absent
from playwright.sync_api import Browser, Page, sync_playwright
from synthetic import Grid, write_claims

from steadytune.exports.evidence import read_recorded
from steadytune.rendering.formats import write_table
from steadytune.rendering.report import build_report
from steadytune.rendering.tables import make_table
from steadytune.results.loading import load_results

FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
PHONE, DESKTOP, A4 = 390, 1280, 680
"""Widths in CSS pixels; A4: between margins of 15 mm."""

FAINTEST = 4.5
"""The least contrast that WCAG 2 allows for small text (level AA)."""

CONTRASTS = """() => {
  const rgb = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number)
  const light = text => rgb(text).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
  const paper = light(getComputedStyle(document.body).backgroundColor)
  const shown = [...document.querySelectorAll('main *')].filter(e => [...e.childNodes].some(n => n.data?.trim()))
  return shown.map(element => {
    const ink = light(getComputedStyle(element).color)
    return [(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), element.className || element.tagName]
  })
}"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, which CI must have."""
    program = shutil.which("chromium") or absent("no chromium on this machine (Debian: chromium)")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program, args=FLAGS) as started:
        yield started


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    """A report with wide tables, long names, cells of several statuses, and claims."""
    tasks = tuple(f"mini-{name}" for name in ("rte", "stsb", "cola", "mnli", "mrpc", "sst2", "qnli", "qqp"))
    statuses = {("mini", "hype-n", "mini-rte", 0): "diverged", ("mini", "hype-n", "mini-cola", 1): "degenerate",
                ("mini", "vanilla", "mini-rte", 1): "missing"}  # fmt: skip
    transfer = {"mini-rte": ("mini-hans", "mini-rte-constructions-of-a-long-name")}
    grid = Grid(tasks=tasks, seeds=2, transfer=transfer, statuses=statuses)
    root = tmp_path_factory.mktemp("report")
    folder = grid.write(root)
    write_claims(folder)
    build_report(load_results(folder, grid.suite), root / "report.html")
    return (root / "report.html").as_uri()


def opened(browser: Browser, address: str, width: int = DESKTOP, **options) -> Page:
    """Open the page, and check that it logs nothing to the console and requests nothing external."""
    page = browser.new_page(viewport={"width": width, "height": 844}, **options)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.extend([] if request.url.startswith(("file:", "data:")) else [request.url]))
    page.goto(address)
    assert said == []
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_images_load_links_resolve_and_nothing_overflows(browser, address, width, scheme):
    page = opened(browser, address, width, color_scheme=scheme)
    widths = page.evaluate("Promise.all([...document.images].map(async i => (await i.decode(), i.naturalWidth)))")
    assert len(widths) >= 4
    assert min(widths) > 0
    targets = page.evaluate(
        "[...document.links].map(a => [a.getAttribute('href'), a.hash && !!document.querySelector(a.hash)])"
    )
    assert targets
    assert [target for target, there in targets if not there] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_and_figures_match_the_color_scheme(browser, address, scheme):
    page = opened(browser, address, color_scheme=scheme)
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 300
    assert [entry for entry in contrasts if entry[0] < FAINTEST] == []
    inverted = page.evaluate("[...document.images].map(i => getComputedStyle(i).filter.includes('invert'))")
    assert set(inverted) == {scheme == "dark"}


def test_group_headings_fit_a_phone(browser, address):
    page = opened(browser, address, PHONE)
    ends = page.evaluate("[...document.querySelectorAll('tr.block span')].map(e => e.getBoundingClientRect().right)")
    assert ends
    assert max(ends) <= PHONE


def test_lists_fit_a_desktop(browser, address):
    page = opened(browser, address)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    lists = "[...document.querySelectorAll('.scroll')].filter(e => e.querySelector('.listing'))"
    assert page.evaluate(f"{lists}.length") >= 4
    assert page.evaluate(f"{lists}.filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)") == []


def test_wide_tables_of_a_recorded_suite_fit_a_desktop(browser, root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    build_report(read_recorded(root / "published/recorded/mini", tmp_path).results, tmp_path / "report.html")
    page = opened(browser, (tmp_path / "report.html").as_uri())
    wide = "[...document.querySelectorAll('figure.table .scroll')].filter(e => e.scrollWidth > e.clientWidth)"
    assert page.evaluate(f"{wide}.map(e => e.ariaLabel)") == []


def test_wide_tables_scroll_by_keyboard(browser, address):
    page = opened(browser, address, PHONE)
    main = page.locator("#table-main .scroll")
    main.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('#table-main .scroll').scrollLeft > 0")


def test_print_view_shows_folded_and_clipped_content(browser, address):
    page = opened(browser, address, A4, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("[...document.querySelectorAll('details > :last-child')].filter(e => !e.offsetHeight)") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= A4
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert set(page.evaluate("[...document.images].map(i => getComputedStyle(i).filter)")) == {"none"}


def test_page_of_a_single_table_fits_a_phone(browser, tmp_path: Path):
    grid = Grid(tasks=tuple(f"mini-task-{number}" for number in range(12)), seeds=1)
    table = make_table("main", load_results(grid.write(tmp_path), grid.suite))
    write_table(table, tmp_path / "main")
    page = opened(browser, (tmp_path / "main.html").as_uri(), PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
