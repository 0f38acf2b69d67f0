"""Logs in to a site over plain HTTP, as its form asks, to tell whether its account still opens it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from tasks.webarena.login import DOORS

if TYPE_CHECKING:
    import aiohttp

PAGE_BYTES = 2 << 20
"""Most that is read of a page."""

_NAMES = ("text", "email", "")


@dataclass(slots=True)
class Form:
    """A form as a browser sends it.

    Attributes:
        fields: values by name, hidden ones among them.
        user, password: names of the two fields that a visitor fills.
    """

    action: str = ""
    fields: dict[str, str] = field(default_factory=dict[str, str])
    user: str = ""
    password: str = ""


class _Forms(HTMLParser):
    """Collects the forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(given.get("action", "")))
        name = given.get("name", "")
        if tag != "input" or not self.found or not name:
            return
        form, kind = self.found[-1], given.get("type", "").lower()
        if kind == "password":
            form.password = form.password or name
        elif kind in _NAMES and not form.password:
            form.user = name
        if kind not in ("submit", "button", "image", "reset", "checkbox", "radio"):
            form.fields[name] = given.get("value", "")


def login_form(text: str) -> Form | None:
    """The form of a page that asks for a user and a password."""
    forms = _Forms()
    forms.feed(text)
    return next((form for form in forms.found if form.user and form.password), None)


async def refused(
    session: aiohttp.ClientSession, site: str, url: str, account: Mapping[str, str]
) -> str | None:
    """Why the site does not let its account in; None when it does.

    Args:
        session: keeps the cookies of this site alone.
        site: one of those that have a login.
        url: the site's address, without a closing slash.
        account: its user name and password.

    Raises:
        aiohttp.ClientError: it does not answer.
    """
    door = DOORS[site]
    page = await _page(session, url + door.form)
    form = login_form(page.text)
    if form is None:
        # The slim images log every visitor in by themselves.
        return None if await _inside(session, site, url, account) else "shows no login form"
    sent = {**form.fields, form.user: account["username"], form.password: account["password"]}
    await _page(session, urljoin(page.url, form.action), sent)
    return None if await _inside(session, site, url, account) else "does not let it in"


async def _inside(session: aiohttp.ClientSession, site: str, url: str, account: Mapping[str, str]) -> bool:
    """Whether a page that only users see opens, by the same signs as in a run."""
    door = DOORS[site]
    wanted = url + door.inside.format(user=account["username"])
    page = await _page(session, wanted)
    return page.good and (door.word in page.text if door.word else page.url == wanted)


@dataclass(frozen=True, slots=True)
class _Page:
    """A page behind all redirects; `good` unless the site called it an error."""

    good: bool
    url: str
    text: str


async def _page(session: aiohttp.ClientSession, url: str, sent: Mapping[str, str] | None = None) -> _Page:
    async with session.request("POST" if sent else "GET", url, data=sent) as answer:
        body = await answer.content.read(PAGE_BYTES)
        while len(body) < PAGE_BYTES and (more := await answer.content.read(PAGE_BYTES - len(body))):
            body += more
        return _Page(answer.status < 400, str(answer.url), body.decode("utf-8", "replace"))
