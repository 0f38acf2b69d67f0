"""The six helper functions that evaluators name: read by a strict form and looked up, never evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.errors import DataError, EnvironmentFault
from tasks._shared.browser import PageLost, Pages
from tasks.webarena.sites import SiteMap

if TYPE_CHECKING:
    import aiohttp
    from playwright.async_api import Page

PAGE, LAST_URL = "__page__", "__last_url__"
ANSWER_BYTES = 4 << 20
"""Most that is read of an answer."""

REQUEST_S = 30.0

_CALL = re.compile(r"func:(\w+)\(([^()]*)\)")
_ARGUMENT = re.compile(r"\s*(?:'([^']*)'|\"([^\"]*)\"|(__page__))\s*")
_ROLE = """account => {
  const names = [...document.querySelectorAll("td[data-label='Account'] span.gl-avatar-labeled-sublabel")];
  const row = names.findIndex(name => name.outerText === '@' + account);
  return row < 0 ? '' : document.querySelectorAll('td.col-max-role span')[row].outerText;
}"""


def parse_call(text: str) -> tuple[str, tuple[str, ...]]:
    """Read `func:NAME('a', ...)`.

    Raises:
        DataError: another form, or a name that is not in the table.
    """
    found = _CALL.fullmatch(text.strip())
    if found is None or found[1] not in NAMES:
        raise DataError(f"{text[:200]!r} is no call of a known helper; harness data verify webarena")
    arguments: list[str] = []
    for part in found[2].split(",") if found[2].strip() else []:
        argument = _ARGUMENT.fullmatch(part)
        if argument is None:
            raise DataError(f"{text[:200]!r} has an argument that is no quoted text")
        arguments.append(argument[1] or argument[2] or argument[3] or "")
    if len(arguments) != NAMES[found[1]]:
        raise DataError(f"{text[:200]!r} needs {NAMES[found[1]]} arguments")
    return found[1], tuple(arguments)


NAMES = {
    "reddit_get_post_url": 1,
    "shopping_get_auth_token": 0,
    "shopping_get_latest_order_url": 0,
    "shopping_get_sku_latest_review_author": 1,
    "shopping_get_sku_latest_review_rating": 1,
    "gitlab_get_project_memeber_role": 2,
}
"""How many arguments each takes; one is misspelt in the data."""


def post_url(url: str) -> str:
    """A post's address without its title, for the address of the post or of one of its comments."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    path = parts.path.split("/")
    if len(path) < 4 or path[1] != "f":
        return url
    return f"{parts.scheme}://{parts.netloc}/f/{path[2]}/{path[3]}/"


@dataclass(frozen=True, slots=True)
class Helpers:
    """The helpers on one set of sites.

    Attributes:
        owner: the account of the shop's administrator.
        headers: sent with every request.
    """

    sites: SiteMap
    session: aiohttp.ClientSession
    owner: Mapping[str, str]
    headers: Mapping[str, str]

    async def run(self, text: str, pages: Pages) -> str:
        """Carry out a helper's call.

        Raises:
            EnvironmentFault: the site does not answer as it should.
        """
        name, arguments = parse_call(text)
        if name == "reddit_get_post_url":
            return post_url(pages.current.url if arguments[0] == LAST_URL else arguments[0])
        if name == "gitlab_get_project_memeber_role":
            return await member_role(pages, pages.current, arguments[1])
        if name == "shopping_get_auth_token":
            return await self._token()
        if name == "shopping_get_latest_order_url":
            return await self._latest_order()
        reviews = await self._get(f"/rest/V1/products/{arguments[0]}/reviews")
        if not isinstance(reviews, list) or not reviews:
            return ""
        try:
            author = name == "shopping_get_sku_latest_review_author"
            return str(reviews[-1]["nickname"] if author else reviews[-1]["ratings"][0]["percent"])
        except (KeyError, IndexError, TypeError) as error:
            raise EnvironmentFault(f"the shop's reviews are of another form: {error!r}") from error

    async def _latest_order(self) -> str:
        asked = {
            "searchCriteria[sortOrders][0][field]": "created_at",
            "searchCriteria[sortOrders][0][direction]": "DESC",
            "searchCriteria[pageSize]": "1",
        }
        found = await self._get("/rest/V1/orders", asked)
        try:
            number = int(found["items"][0]["increment_id"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise EnvironmentFault(f"the shop's orders are of another form: {error!r}") from error
        return f"{self.sites.real['shopping']}/sales/order/view/order_id/{number}/"

    async def _token(self) -> str:
        path = "/rest/default/V1/integration/admin/token"
        found = await self._send("POST", path, {"json": dict(self.owner), "headers": dict(self.headers)})
        if not isinstance(found, str):
            raise EnvironmentFault("the shop gave no token")
        return found

    async def _get(self, path: str, asked: Mapping[str, str] | None = None) -> Any:
        headers = {**self.headers, "Authorization": f"Bearer {await self._token()}"}
        return await self._send("GET", path, {"params": dict(asked or {}), "headers": headers})

    async def _send(self, method: str, path: str, given: Mapping[str, Any]) -> Any:
        import aiohttp

        url = self.sites.real["shopping"] + path
        try:
            async with self.session.request(
                method, url, timeout=aiohttp.ClientTimeout(total=REQUEST_S), allow_redirects=False, **given
            ) as answer:
                body = await answer.content.read(ANSWER_BYTES)
                while len(body) < ANSWER_BYTES and (more := await answer.content.read(ANSWER_BYTES)):
                    body += more
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise EnvironmentFault(f"{url} does not answer: {error!r}") from error
        if answer.status != 200 or len(body) >= ANSWER_BYTES:
            raise EnvironmentFault(f"{url} answered {answer.status} with {len(body)} bytes")
        return _decoded(url, body)


def _decoded(url: str, body: bytes) -> Any:
    import json

    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EnvironmentFault(f"{url} answered with no JSON: {error}") from error


async def member_role(pages: Pages, page: Page, account: str) -> str:
    """The role of a member in the table of a project's members; empty where the page has none."""
    from playwright.async_api import Error

    try:
        return str(await pages.call(page.evaluate(_ROLE, account)))
    except (Error, PageLost):
        return ""
