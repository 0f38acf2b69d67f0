"""The forum: posts, votes, comments, and a link that opens a tab of its own."""

from __future__ import annotations

import re
from html import escape

from aiohttp import web

from tasks.webarena.testsites.pages import (
    ACCOUNT,
    SITES,
    field,
    form,
    link,
    listed,
    page,
    posted,
    see,
    sign_in,
    signed_in,
    state,
)
from tasks.webarena.testsites.state import Post

routes = web.RouteTableDef()


def slug(title: str) -> str:
    """A title as part of an address."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def where(post: Post) -> str:
    """A post's address."""
    return f"/f/{post.forum}/{post.number}/{slug(post.title)}"


def entry(post: Post) -> str:
    """A post in a list."""
    return f"{link(where(post), post.title)} {post.votes} points by {escape(post.author)}"


@routes.get("/")
async def home(request: web.Request) -> web.Response:
    """All forums and the best posts."""
    names = sorted({post.forum for post in state(request).posts})
    best = sorted(state(request).posts, key=lambda post: -post.votes)
    body = "<h1>Forums</h1>" + listed([link(f"/f/{name}", name) for name in names])
    body += "<h2>Best posts</h2>" + listed([entry(post) for post in best])
    return page("Talk", body + (link("/login", "Log in") if not signed_in(request) else ""))


@routes.get("/f/{forum}")
async def forum(request: web.Request) -> web.Response:
    """The posts of a forum, the newest first."""
    name = request.match_info["forum"]
    found = [entry(post) for post in reversed(state(request).posts) if post.forum == name]
    body = f"<h1>{escape(name)}</h1>" + link(f"/submit/{name}", "Submit") + listed(found)
    return page(f"Talk: {name}", body)


def find(request: web.Request) -> Post | None:
    """The post that an address names."""
    number = request.match_info["number"]
    return next((post for post in state(request).posts if str(post.number) == number), None)


@routes.get("/f/{forum}/{number}/{rest:.*}")
async def one(request: web.Request) -> web.Response:
    """One post."""
    post = find(request)
    if post is None:
        return page("Not found", "<h1>There is no such post</h1>", status=404)
    base = f"/f/{post.forum}/{post.number}"
    body = f'<article class="submission__inner"><h1>{escape(post.title)}</h1><p>{escape(post.text)}</p>'
    body += f'<span class="vote__net-score">{post.votes}</span></article>'
    wiki = request.app[SITES].real["wikipedia"]
    body += link(f"{wiki}/wiki/Sourdough", "Read more", 'target="_blank"')
    body += form(f"{base}/vote", "", "Upvote")
    body += form(f"{base}/comment", field("Comment", "text"), "Post comment")
    comments = listed([f'<p class="comment">{escape(text)}</p>' for text in post.comments])
    return page(post.title, body + f"<h2>Comments</h2>{comments}")


@routes.post("/f/{forum}/{number}/vote")
async def vote(request: web.Request) -> web.Response:
    """One point more."""
    post = find(request)
    if post is None or not signed_in(request):
        return see("/login")
    await posted(request)
    post.votes += 1
    return see(where(post))


@routes.post("/f/{forum}/{number}/comment")
async def comment(request: web.Request) -> web.Response:
    """Add a comment."""
    post = find(request)
    if post is None or not signed_in(request):
        return see("/login")
    post.comments.append((await posted(request)).get("text", ""))
    return see(where(post))


@routes.get("/submit/{forum}")
async def submission(request: web.Request) -> web.Response:
    """The form for a new post."""
    name = request.match_info["forum"]
    fields = field("Title", "title") + field("Body", "text")
    return page("New post", "<h1>New post</h1>" + form(f"/submit/{name}", fields, "Create submission"))


@routes.post("/submit/{forum}")
async def submit(request: web.Request) -> web.Response:
    """Add a post."""
    if not signed_in(request):
        return see("/login")
    sent, posts = await posted(request), state(request).posts
    author = request.app[ACCOUNT]["username"]
    new = Post(
        len(posts) + 1, request.match_info["forum"], sent.get("title", ""), sent.get("text", ""), author
    )
    posts.append(new)
    return see(where(new))


@routes.get("/login")
async def login(request: web.Request) -> web.Response:
    """The login form."""
    del request
    fields = field("Username", "username") + field("Password", "password", "password")
    return page("Log in", "<h1>Log in</h1>" + form("/login", fields, "Log in"))


@routes.post("/login")
async def enter(request: web.Request) -> web.Response:
    """Check it."""
    return await sign_in(request, "/", "/login")


@routes.get("/user/{name}/account")
async def account(request: web.Request) -> web.Response:
    """A member's own page."""
    if not signed_in(request):
        return see("/login")
    return page("Account", f"<h1>{escape(request.match_info['name'])}</h1><button>Delete account</button>")
