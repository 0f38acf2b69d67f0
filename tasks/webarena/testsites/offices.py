"""The two sites of people at work: the shop's back office, and a project with its members and issues."""

from __future__ import annotations

from html import escape

from aiohttp import web

from tasks.webarena.testsites.pages import (
    field,
    form,
    link,
    listed,
    money,
    page,
    posted,
    see,
    sign_in,
    signed_in,
    state,
)
from tasks.webarena.testsites.state import PRODUCTS, Issue

admin = web.RouteTableDef()
gitlab = web.RouteTableDef()
ROLES = ("Guest", "Reporter", "Developer", "Maintainer")
PROJECT = "/ada/press"


def _placeheld(name: str, shown: str, kind: str) -> str:
    return f'<p><input name="{name}" placeholder="{shown}" type="{kind}"></p>'


@admin.get("/admin")
@admin.get("/admin/")
@admin.get("/admin/dashboard")
async def dashboard(request: web.Request) -> web.Response:
    """Figures of the shop, or the login form."""
    if not signed_in(request):
        fields = _placeheld("username", "user name", "text") + _placeheld("password", "password", "password")
        return page("Admin", "<h1>Welcome</h1>" + form("/admin", fields, "Sign in"))
    here = state(request)
    rows = [f"Orders: {len(here.orders)}", f"Reviews: {sum(map(len, here.reviews.values()))}"]
    body = "<h1>Dashboard</h1>" + link("/admin/catalog/product/", "Products") + listed(rows)
    return page("Dashboard", body)


@admin.post("/admin")
async def enter_admin(request: web.Request) -> web.Response:
    """Check the login form."""
    return await sign_in(request, "/admin/dashboard", "/admin")


@admin.get("/admin/catalog/product/")
async def grid(request: web.Request) -> web.Response:
    """All articles as a table."""
    if not signed_in(request):
        return see("/admin")
    rows = "".join(
        f'<tr><td>{one.sku}</td><td>{escape(one.name)}</td><td class="price">{money(one.price)}</td>'
        f"<td>{link(f'/admin/catalog/product/edit/id/{one.sku}/', f'Edit {one.sku}')}</td></tr>"
        for one in PRODUCTS
    )
    return page("Products", f"<h1>Products</h1><table>{rows}</table>")


@admin.get("/admin/catalog/product/edit/id/{sku}/")
async def edit(request: web.Request) -> web.Response:
    """One article's description."""
    sku = request.match_info["sku"]
    if not signed_in(request) or sku not in state(request).texts:
        return see("/admin")
    text = escape(state(request).texts[sku])
    area = f'<label for="text">Description</label> <textarea id="text" name="text" rows="4">{text}</textarea>'
    return page(f"Edit {sku}", f"<h1>{escape(sku)}</h1>" + form(request.path, area, "Save"))


@admin.post("/admin/catalog/product/edit/id/{sku}/")
async def save(request: web.Request) -> web.Response:
    """Store it."""
    if not signed_in(request):
        return see("/admin")
    state(request).texts[request.match_info["sku"]] = (await posted(request)).get("text", "")
    return see(request.path)


@gitlab.get("/")
async def projects(request: web.Request) -> web.Response:
    """All projects."""
    del request
    return page("Projects", "<h1>Projects</h1>" + listed([link(PROJECT, "ada / press")]))


@gitlab.get("/users/sign_in")
async def login(request: web.Request) -> web.Response:
    """The login form."""
    del request
    marks = ('data-testid="username-field"', 'data-testid="password-field"')
    fields = f'<p><input name="username" aria-label="Username" {marks[0]}></p>'
    fields += f'<p><input name="password" aria-label="Password" type="password" {marks[1]}></p>'
    button = '<button data-testid="sign-in-button">Sign in</button>'
    return page("Sign in", f'<form method="post" action="/users/sign_in">{fields}{button}</form>')


@gitlab.post("/users/sign_in")
async def enter(request: web.Request) -> web.Response:
    """Check it."""
    return await sign_in(request, "/", "/users/sign_in")


@gitlab.get("/-/profile")
async def profile(request: web.Request) -> web.Response:
    """The user's own page."""
    return page("Profile", "<h1>ada</h1>") if signed_in(request) else see("/users/sign_in")


@gitlab.get(PROJECT)
async def project(request: web.Request) -> web.Response:
    """The project's front page."""
    del request
    tabs = [link(f"{PROJECT}/-/issues", "Issues"), link(f"{PROJECT}/-/project_members", "Members")]
    return page("ada / press", "<h1>press</h1><p>A small printing program.</p>" + listed(tabs))


@gitlab.get(PROJECT + "/-/project_members")
async def members(request: web.Request) -> web.Response:
    """Who belongs to the project, in the table that the evaluators read."""
    rows = "".join(
        f"<tr><td data-label='Account'><span class='gl-avatar-labeled-sublabel'>@{escape(name)}</span></td>"
        f"<td class='col-max-role'><span>{escape(role)}</span></td></tr>"
        for name, role in state(request).members.items()
    )
    invite = form(f"{PROJECT}/-/project_members", field("Username", "name") + field("Role", "role"), "Invite")
    return page("Members", f"<h1>Members</h1><table>{rows}</table>{invite}")


@gitlab.post(PROJECT + "/-/project_members")
async def join(request: web.Request) -> web.Response:
    """Add a member."""
    if not signed_in(request):
        return see("/users/sign_in")
    sent = await posted(request)
    role = sent.get("role", "").title()
    state(request).members[sent.get("name", "")] = role if role in ROLES else "Guest"
    return see(f"{PROJECT}/-/project_members")


@gitlab.get(PROJECT + "/-/issues")
async def issues(request: web.Request) -> web.Response:
    """The issues of one kind."""
    kind = request.query.get("state", "opened")
    found = [one for one in state(request).issues if kind == "all" or one.open == (kind == "opened")]
    tabs = [link(f"?state={name}", name.title()) for name in ("opened", "closed", "all")]
    rows = listed([link(f"{PROJECT}/-/issues/{one.number}", one.title) for one in found])
    ask = form(f"{PROJECT}/-/issues", field("Title", "title"), "Create issue")
    return page("Issues", "<h1>Issues</h1>" + listed(tabs) + rows + ask)


@gitlab.post(PROJECT + "/-/issues")
async def report(request: web.Request) -> web.Response:
    """Add an issue."""
    if not signed_in(request):
        return see("/users/sign_in")
    found = state(request).issues
    found.append(Issue(len(found) + 1, (await posted(request)).get("title", "")))
    return see(f"{PROJECT}/-/issues/{len(found)}")


@gitlab.get(PROJECT + "/-/issues/{number}")
async def issue(request: web.Request) -> web.Response:
    """One issue."""
    number = request.match_info["number"]
    one = next((one for one in state(request).issues if str(one.number) == number), None)
    if one is None:
        return page("Not found", "<h1>There is no such issue</h1>", status=404)
    told = "Open" if one.open else "Closed"
    return page(one.title, f'<h1 class="title">{escape(one.title)}</h1><p>{told}</p>')
