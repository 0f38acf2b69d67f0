"""Scripts for text fields, dates and numbers."""

from __future__ import annotations

from tasks.miniwob.policies.sight import SUBMIT, PageContent, Policy, by_id, click


def date(sight: PageContent) -> Policy:
    yield by_id("tt")
    yield "press arrowleft"
    yield "press arrowleft"
    yield "type " + "".join(sight.said(r"(\d+)/(\d+)/(\d+)"))
    yield SUBMIT


def time(sight: PageContent) -> Policy:
    hour, minute, half = sight.said(r"(\d+):(\d+)\s*([AP]M)")
    yield by_id("tt")
    yield "press arrowleft"
    yield "press arrowleft"
    yield f"type {int(hour):02d}{minute}{half}"
    yield SUBMIT


def password(sight: PageContent) -> Policy:
    text = sight.said('password "(.*)" into')[0]
    for name in ("password", "verify"):
        yield by_id(name)
        yield f"type {text}"
    yield by_id("subbtn")


def text(sight: PageContent) -> Policy:
    yield by_id("tt")
    yield "type " + sight.said('Enter "(.*)" into')[0]
    yield by_id("subbtn")


def login(sight: PageContent) -> Policy:
    name, word = sight.said('username "(.*)" and the password "(.*)" into')
    yield by_id("username")
    yield f"type {name}"
    yield by_id("password")
    yield f"type {word}"
    yield by_id("subbtn")


def focus(sight: PageContent) -> Policy:
    place = sight.said(r"the (\d)")[0] or 1
    yield click(f"(//input)[{place}]")


def algebra(sight: PageContent) -> Policy:
    problem = sight.find('//*[@id="math-problem"]')[0].text
    left, sign, right, _, total = problem.split()
    known = int(right if left == "x" else left)
    rest = int(total) - known
    answer = rest if sign == "+" else int(total) + known if left == "x" else -rest
    yield by_id("math-answer")
    yield f"type {answer}"
    yield by_id("subbtn")


def spinner(sight: PageContent) -> Policy:
    number = int(sight.said(r"Select (-?\d+) with")[0])
    way = "up" if number > 0 else "down"
    for _ in range(abs(number)):
        yield click(f'//a[contains(@class,"ui-spinner-{way}")]')
    yield by_id("subbtn")
