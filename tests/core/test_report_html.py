"""The HTML report: what its plots draw is what its tables say, and no text in it becomes markup."""

import html.parser
import itertools
import math
import re
from dataclasses import replace
from importlib.resources import files
from xml.etree import ElementTree as ET

import pytest
from drawn_reports import drawn
from hostile_report import hostile
from hypothesis import given, settings
from hypothesis import strategies as st
from shown_reports import data

from harness.catalog.suites import Suite
from harness.report import reference
from harness.report.build import build
from harness.report.disagreements import only_disagreeing
from harness.report.html import published
from harness.report.html.figure import runs_of
from harness.report.html.outcomes import outcomes
from harness.report.html.panel import compact, upto
from harness.report.html.radar import RADIUS, radar
from harness.report.html.scores import overalls, scores
from harness.report.html.spread import BINS, counts, spread
from harness.report.load import load
from harness.report.render import render
from harness.report.rules import Rules

TAGS = """
html head meta title style body main header nav section h1 h2 h3 p b i small span a ul li details summary div
dl dt dd table thead tbody tr th td figure figcaption svg g rect line circle path polygon text tspan pre
"""


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs


def body(page: str) -> ET.Element:
    """The page's content, which has to be well-formed."""
    return ET.fromstring(page[page.index("<main>") : page.index("</main>") + 7])


def figure(made) -> ET.Element:
    assert made is not None
    return ET.fromstring(made.html("plot"))


def table(section: ET.Element) -> list[list[str]]:
    return [["".join(cell.itertext()) for cell in row] for row in section.iter("tr")]


def of(section: ET.Element, look: str) -> list[ET.Element]:
    return [one for one in section.iter() if look in (one.get("class") or "").split()]


def share(one: ET.Element, name: str) -> float:
    text = one.get(name) or ""
    assert text.endswith("%")
    return float(text[:-1])


@pytest.mark.parametrize("count", [1, 2, 8])
def test_nothing_becomes_markup_and_nothing_is_fetched(count):
    page = render([hostile() for _ in range(count)], "html", episodes=True)
    page.encode("utf-8")
    assert "canary()" in page and "\x1b" not in page and "\u202e" not in page
    tags = Tags()
    tags.feed(page)
    assert set(tags.names) <= set(TAGS.split())
    names = {name for name, _ in tags.attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "style", "srcset")}
    assert all(value and value.startswith("#") for name, value in tags.attributes if name == "href")
    assert not re.search(r"@import|url\(|https?:", page[page.index("<style>") : page.index("</style>")])
    assert "default-src 'none'" in page
    body(page)


@given(st.text(max_size=30))
@settings(max_examples=40, deadline=None)
def test_any_name_gives_a_well_formed_page(name):
    run = data(name=name, notes=(name,))
    run.tasks[name] = replace(run.tasks["gsm8k"], name=name, metric=name)
    body(render([build(run), build(data())], "html"))


def test_rows_footnotes_and_head_are_all_there():
    report = drawn(
        mind2web={"source": "fixture", "not_comparable": ("fixture data",), "notes": ("one note",)}
    )
    page = body(render([report], "html"))
    (results,) = [one for one in page.iter("section") if one.get("id") == "results"]
    rows = table(results)
    assert rows[0] == ["task", "n/N", "metric", "score", "95 % interval", "GPT-4", "relative %"]
    (row,) = [row for row in rows if row[0] == "alfworld"]
    assert row[1:4] == ["120/120", "SR", f"{report.tasks['alfworld'].score:.2f}"]
    assert any(row[0].startswith("mind2web (fixture)") for row in rows)
    text = " ".join(page.itertext())
    assert "mind2web: one note" in text and all(value in text for value in report.head.values())
    for row in results.iter("tr"):
        assert sum(int(cell.get("colspan", "1")) for cell in row) == len(rows[0])


def test_bars_and_intervals_stand_where_their_numbers_say():
    report = drawn()
    section = figure(scores(runs_of([report])))
    bars, ends = of(section, "bar"), of(section, "whisker")
    told = [result for result in report.tasks.values()]
    assert len(bars) == len(ends) == len(told) == 16
    for bar, whisker, result in zip(bars, ends, told, strict=True):
        scale = 10 if result.data.unit == "points" else 1
        assert share(bar, "x") == 0
        assert share(bar, "width") == pytest.approx(result.score * scale, abs=0.006)
        assert share(whisker[0], "x1") == pytest.approx(result.ci[0] * scale, abs=0.006)
        assert share(whisker[0], "x2") == pytest.approx(result.ci[1] * scale, abs=0.006)
    rows = {(row[0], row[1]): row for row in table(section)}
    assert rows["gsm8k", report.run][4] == f"{report.tasks['gsm8k'].score:.2f}"
    assert {text.text for text in of(section, "tick")} == {"0", "25", "50", "75", "100 %"}


def test_published_rows_stand_below_every_bar_and_in_the_table():
    section = figure(scores(runs_of([drawn()])))
    marks = of(section, "at")
    assert len(marks) == 16 * 8
    known = {(row[0], row[1]): float(row[4]) for row in table(section)[1:] if row[3] == "published"}
    assert len(known) == 16 * 8
    assert known["gsm8k", "gpt-4"] == reference.of("gpt-4", "gsm8k") == 87.1
    assert len(of(section, "gpt4")) == 16
    places = sorted(share(mark, "x") for mark in marks)
    values = (value * (10 if task == "mt_bench" else 1) for (task, _), value in known.items())
    assert places == pytest.approx(sorted(values), abs=0.006)
    assert "arXiv:2310.12823" in "".join(section.itertext())


def test_what_is_no_measurement_is_hollow_and_what_is_missing_has_no_bar():
    report = drawn(
        mind2web={"source": "fixture", "not_comparable": ("fixture data",)},
        humaneval={"infra_error": 20, "planned": 140},
        mt_bench={"pending": 30, "planned": 150},
    )
    section = figure(scores(runs_of([report])))
    assert len(of(section, "bar")) == 14 and len(of(section, "hollow")) == 1
    assert sorted(one.text for one in of(section, "instead"))[0] == "30 to judge"
    assert "incomplete" in sorted(one.text for one in of(section, "instead"))[1]
    text = "".join(section.itertext())
    assert "fixture, step_SR" in text and f"{report.tasks['mind2web'].score:.2f}†" in text
    paper = figure(scores(runs_of([build(load("reference:gpt-4"))])))
    assert len(of(paper, "hollow")) == len(of(paper, "bar")) == 16 and not of(paper, "whisker")


def test_overalls_have_one_axis_for_a_rule_and_the_published_ones_beside_them():
    reports = [drawn(), drawn("b", like="agentlm-70b", seed=2)]
    section = figure(overalls(runs_of(reports)))
    assert len(list(section.iter("svg"))) - len(of(section, "at")) - len(of(section, "icon")) == 1
    ends = [text.text for text in of(section, "tick")]
    top = float(ends[-1])
    bars = of(section, "bar")
    told = [report.suites[name].overall for name in reports[0].suites for report in reports]
    assert [share(bar, "width") * top / 100 for bar in bars] == pytest.approx(told, abs=0.001)
    rows = {(row[0], row[1]): row[3] for row in table(section)}
    assert rows["held-in", "agentlm-70b"] == "2.55" and rows["general", "gpt-4"] == "1.53"


def test_the_profile_breaks_where_a_task_has_no_score():
    whole = figure(radar(runs_of([drawn()])))
    (outline,) = [one for one in of(whole, "outline") if one.tag == "polygon"]
    points = [tuple(map(float, pair.split(","))) for pair in outline.get("points").split()]
    told = [row for row in table(whole)[1:]]
    tops = [10 if row[0] == "mt_bench" else 100 for row in told]
    assert [math.hypot(*point) for point in points] == pytest.approx(
        [RADIUS * float(row[1]) / top for row, top in zip(told, tops, strict=True)], abs=0.15
    )
    part = drawn(humaneval={"infra_error": 20, "planned": 140})
    broken = figure(radar(runs_of([part, drawn("b", seed=2)])))
    assert [one.tag for one in of(broken, "c0") if one.tag != "circle" and "outline" in one.get("class")] == (
        ["line"] * 14
    )
    assert radar(runs_of([build(data())])) is None


def test_outcomes_fill_the_plan():
    report = drawn(mt_bench={"pending": 30, "planned": 160}, humaneval={"infra_error": 20, "planned": 140})
    section = figure(outcomes(runs_of([report])))
    rows = table(section)
    at = rows[0].index("planned")
    for row in rows[1:]:
        assert sum(map(int, row[2:at])) == int(row[at]) == report.tasks[row[0]].data.planned
    parts = {}
    for one in of(section, "part"):
        parts[one.get("y")] = parts.get(one.get("y"), 0) + share(one, "width")
    assert list(parts.values()) == pytest.approx([100] * 16, abs=0.05)
    (judged,) = [row for row in rows if row[0] == "mt_bench"]
    assert judged[6:] == ["30", "10", "160"]
    assert outcomes(runs_of([build(load("reference:gpt-4"))])) is None


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=50))
def test_every_finite_value_is_counted_once(values):
    found = counts(values, 1.0)
    assert len(found) == BINS + 2
    assert sum(found) == sum(map(math.isfinite, values))


def test_exact_ends_and_tenths_have_columns_of_their_own():
    values = [0.0, 0.0, 0.05, 0.1, 0.3, 0.7, 0.99, 1.0]
    assert counts(values, 1.0) == [2, 1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 1]
    assert counts([1, 7.0, 10], 10.0) == [0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1]
    section = figure(spread(runs_of([drawn()])))
    for row in table(section)[1:]:
        assert sum(map(int, row[3:])) == int(row[2])


@given(st.floats(1e-6, 1e15))
def test_an_axis_begins_at_0_and_holds_its_value(value):
    axis = upto(value)
    assert axis.ticks[0] == 0 and axis.ticks[-1] == pytest.approx(axis.top)
    assert axis.top >= value * (1 - 1e-9) and 2 <= len(axis.ticks) <= 6
    assert len(compact(value)) <= 12


def test_numbers_are_written_short():
    assert [compact(n) for n in (0, 0.07, 9.994, 12.34, 950, 2_508_000, 43_800_000, 1e9)] == (
        ["0", "0.07", "9.99", "12.3", "950", "2.51M", "43.8M", "1G"]
    )


def test_twenty_runs_stay_small_and_every_run_has_its_own_letter():
    report = drawn("nightly-agentlm-70b-held-in+held-out+general-f3a90bc2")
    reports = [replace(report, run=f"{report.run}-{n}") for n in range(20)]
    page = render(reports, "html")
    assert len(page.encode()) <= 2_000_000
    assert [run.letter for run in runs_of(reports * 2)][24:28] == ["Y", "Z", "AA", "AB"]
    assert [run.letter for run in runs_of([report])] == [""]
    assert page.count("<svg") > 20
    sections = [one for one in body(page).iter("section") if (one.get("id") or "").startswith("plot-")]
    assert len(sections) == 6
    assert all(len(list(one.iter("table"))) == 1 and len(table(one)) > 3 for one in sections)


def test_a_suite_whose_table_is_not_here_has_nothing_beside_it(monkeypatch):
    monkeypatch.setattr(published, "installed", lambda name: Suite(name, (), reference="no such table"))
    section = figure(scores(runs_of([drawn(rules=Rules())])))
    assert len(of(section, "bar")) == 16 and not of(section, "at")
    assert not of(figure(overalls(runs_of([drawn(rules=Rules())]))), "at")


def test_values_of_listed_episodes_alone_are_told():
    report = build(data())
    assert "Only the listed episodes" not in "".join(figure(spread(runs_of([report]))).itertext())
    section = figure(spread(runs_of([only_disagreeing(report)])))
    assert table(section)[1][2] == "2" and "Only the listed episodes" in "".join(section.itertext())


# -- colours

KINDS = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900),
    ),
}  # fmt: skip
"""How eyes see linear RGB: Machado, Oliveira and Fernandes 2009, severity 1."""
LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
"""From linear RGB to cones, and from their cube roots to Oklab, where distance is what the eye sees."""


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def linear(colour):
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]


def lab(colour, kind):
    seen = [min(1.0, max(0.0, c)) for c in times(KINDS[kind], linear(colour))]
    return times(LAB, [math.copysign(abs(c) ** (1 / 3), c) for c in times(LMS, seen)])


def bright(colour):
    return sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear(colour), strict=True))


def contrast(one, other):
    low, high = sorted([bright(one), bright(other)])
    return (high + 0.05) / (low + 0.05)


def palettes():
    text = files("harness.report.html").joinpath("style.css").read_text(encoding="utf-8")
    light, dark = text.split("prefers-color-scheme: dark", 1)
    for name, part in (("light", light), ("dark", dark.split("* {", 1)[0])):
        yield pytest.param(dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)), id=name)


@pytest.mark.parametrize("colours", list(palettes()))
@pytest.mark.parametrize("kind", KINDS)
def test_every_eye_tells_the_colours_apart(colours, kind):
    runs = [colours[f"run{n}"] for n in range(6)]
    ends = [colours[name] for name in ("scored", "limit", "model-error", "infra-error")]
    for group, least in ((runs, 0.1), (ends, 0.1)):
        for one, other in itertools.combinations(group, 2):
            assert math.dist(lab(one, kind), lab(other, kind)) >= least, (one, other)


@pytest.mark.parametrize("colours", list(palettes()))
def test_words_and_marks_stand_out_from_the_page(colours):
    for ground in (colours["ground"], colours["raised"]):
        assert all(contrast(colours[f"run{n}"], ground) >= 3 for n in range(6))
        assert all(contrast(colours[name], ground) >= 4.5 for name in ("ink", "soft", "accent", "bad"))
    for name in ("good", "warn", "bad"):
        assert contrast(colours[name], colours[f"{name}-soft"]) >= 4.5
