"""What all sites share: pages, forms, logins and the place where requests find their state."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from aiohttp import web

from tasks.webarena.testsites.state import SiteState, StateBook

if TYPE_CHECKING:
    from tasks.webarena.sites import SiteMap

BOOK = web.AppKey("book", StateBook)
ACCOUNT = web.AppKey("account", dict)
ACCOUNTS: web.AppKey[Mapping[str, Mapping[str, str]]] = web.AppKey("accounts")
SITES: web.AppKey[SiteMap] = web.AppKey("sites")
NAME = web.AppKey("name", str)

STYLE = (
    "body{font:16px sans-serif;margin:20px;max-width:900px}li{margin:6px 0}"
    ".tall li{height:120px}.menu ul{display:none}.menu:hover ul{display:block}"
)


def page(title: str, body: str, *, status: int = 200) -> web.Response:
    """A page of a site; `body` is HTML."""
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{body}</body></html>"
    )
    return web.Response(text=text, content_type="text/html", status=status)


def link(target: str, text: str, attributes: str = "") -> str:
    """A link."""
    return f'<a href="{escape(target)}" {attributes}>{escape(text)}</a>'


def listed(items: list[str], kind: str = "") -> str:
    """A list of pieces of HTML."""
    return f'<ul class="{kind}">' + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def field(label: str, name: str, kind: str = "text", value: str = "") -> str:
    """A labelled input."""
    shown = f'<label for="{name}">{escape(label)}</label> '
    return f'<p>{shown}<input id="{name}" name="{name}" type="{kind}" value="{escape(value)}"></p>'


def form(action: str, body: str, button: str, method: str = "post") -> str:
    """A form with one button."""
    return f'<form action="{escape(action)}" method="{method}">{body}<button>{escape(button)}</button></form>'


def money(cents: int) -> str:
    """A price as the shop writes it."""
    return f"${cents / 100:,.2f}"


def state(request: web.Request) -> SiteState:
    """What the episode of a request has changed so far."""
    return request.app[BOOK].of(request.headers)


async def posted(request: web.Request) -> Mapping[str, str]:
    """The fields of a form; counts as a write."""
    state(request).writes += 1
    return {key: value for key, value in (await request.post()).items() if isinstance(value, str)}


def see(place: str) -> web.Response:
    """Send the browser to another page after a form."""
    return web.Response(status=302, headers={"Location": place})


def token(request: web.Request) -> str:
    """The cookie of a site's one account."""
    account = request.app[ACCOUNT]
    text = f"{request.app[NAME]}/{account['username']}/{account['password']}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def signed_in(request: web.Request) -> bool:
    """Whether the visitor has logged in."""
    return request.cookies.get(request.app[NAME]) == token(request)


async def sign_in(request: web.Request, inside: str, outside: str) -> web.Response:
    """Check a login form."""
    sent, account = await request.post(), request.app[ACCOUNT]
    if (sent.get("username"), sent.get("password")) != (account["username"], account["password"]):
        return see(outside)
    answer = see(inside)
    # Sites on one host share its cookies, so each site's has a name of its own.
    answer.set_cookie(request.app[NAME], token(request), httponly=True)
    return answer
