"""The shop: catalogue, search, reviews, cart, orders, and the few REST calls that evaluators make."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape

from aiohttp import web

from tasks.webarena.testsites.pages import (
    ACCOUNT,
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
from tasks.webarena.testsites.state import PRODUCTS, Order, Product, Review

LOGIN = "/customer/account/login/"
BY_SLUG = {one.name.lower().replace(" ", "-"): one for one in PRODUCTS}
BY_SKU = {one.sku: one for one in PRODUCTS}
routes = web.RouteTableDef()


def framed(request: web.Request, title: str, body: str) -> web.Response:
    """A page under the shop's head."""
    who = "My Account" if signed_in(request) else "Sign In"
    search = form("/catalogsearch/result/", field("Search", "q"), "Go", "get")
    menu = '<div class="menu"><span>Departments</span>'
    menu += listed([link("/desk.html", "Desk"), link("/bags.html", "Bags")]) + "</div>"
    head = link("/", "Corner Shop") + " " + link("/customer/account/", who)
    head += " " + link("/checkout/cart/", f"My Cart {len(state(request).cart)}")
    return page(title, f"<header>{head}{search}{menu}</header><main><h1>{escape(title)}</h1>{body}</main>")


def item(one: Product) -> str:
    """An article in a list."""
    slug = one.name.lower().replace(" ", "-")
    return f"{link(f'/{slug}.html', one.name)} <span>{money(one.price)}</span>"


@routes.get("/")
async def home(request: web.Request) -> web.Response:
    """The front page."""
    body = "<p>Paper, light and order for your desk.</p>"
    return framed(request, "Corner Shop", body + listed([item(one) for one in PRODUCTS[:2]]))


@routes.get("/sale")
async def sale(request: web.Request) -> web.Response:
    """An old address that leads elsewhere."""
    del request
    return see("/bags.html")


@routes.get("/catalogsearch/result/")
async def search(request: web.Request) -> web.Response:
    """Articles whose names have a word in common with the query."""
    words = request.query.get("q", "").lower().split()
    found = [one for one in PRODUCTS if any(word in one.name.lower() for word in words)]
    body = listed([item(one) for one in found]) or ""
    return framed(request, f"{len(found)} results", body)


@routes.get("/{slug}.html")
async def article(request: web.Request) -> web.Response:
    """A department, or one article."""
    slug = request.match_info["slug"]
    if slug in ("desk", "bags"):
        found = [item(one) for one in PRODUCTS if one.category == slug]
        return framed(request, slug.title(), listed(found, "tall"))
    one = BY_SLUG.get(slug)
    if one is None:
        return page("Not found", "<h1>There is no such page</h1>", status=404)
    reviews = [
        f"{escape(r.title)}, {r.stars} stars, by {escape(r.author)}"
        for r in state(request).reviews.get(one.sku, [])
    ]
    sku = f'<input type="hidden" name="sku" value="{one.sku}">'
    body = f'<p class="price">{money(one.price)}</p><p>{escape(state(request).texts[one.sku])}</p>'
    body += form("/checkout/cart/add", sku, "Add to Cart") + "<h2>Reviews</h2>" + listed(reviews)
    asked = field("Nickname", "author") + field("Stars", "stars") + field("Summary", "title")
    return framed(request, one.name, body + form("/review", sku + asked, "Submit Review"))


@routes.post("/review")
async def review(request: web.Request) -> web.Response:
    """Add an opinion."""
    sent = await posted(request)
    one, stars = BY_SKU[sent["sku"]], sent.get("stars", "")
    opinion = Review(
        sent.get("author", ""), int(stars) if stars in "12345" and stars else 3, sent.get("title", "")
    )
    state(request).reviews.setdefault(one.sku, []).append(opinion)
    return see(f"/{one.name.lower().replace(' ', '-')}.html")


@routes.post("/checkout/cart/add")
async def add(request: web.Request) -> web.Response:
    """Put an article into the cart."""
    sent = await posted(request)
    state(request).cart.append(BY_SKU[sent["sku"]].sku)
    return see("/checkout/cart/")


@routes.get("/checkout/cart/")
async def cart(request: web.Request) -> web.Response:
    """What would be ordered."""
    chosen = [BY_SKU[sku] for sku in state(request).cart]
    if not chosen:
        return framed(request, "Shopping Cart", "<p>You have no items in your shopping cart.</p>")
    total = f'<p id="total">Order Total {money(sum(one.price for one in chosen))}</p>'
    body = listed([item(one) for one in chosen]) + total
    return framed(request, "Shopping Cart", body + form("/checkout/place", "", "Place Order"))


@routes.post("/checkout/place")
async def place(request: web.Request) -> web.Response:
    """Order what is in the cart; only customers can."""
    if not signed_in(request):
        return see(LOGIN)
    await posted(request)
    here = state(request)
    chosen, here.cart = [BY_SKU[sku] for sku in here.cart], []
    last = here.orders[-1]
    when = datetime.fromisoformat(last.placed) + timedelta(days=1)
    total = sum(one.price for one in chosen)
    here.orders.append(Order(last.number + 1, [one.name for one in chosen], total, when.isoformat(" ")))
    return see(f"/sales/order/view/order_id/{last.number + 1}/")


@routes.get("/sales/order/history/")
async def history(request: web.Request) -> web.Response:
    """A customer's orders, the newest first."""
    if not signed_in(request):
        return see(LOGIN)
    rows = "".join(
        f"<tr><td>{one.number}</td><td>{one.placed[:10]}</td><td>{money(one.total)}</td><td>{one.status}</td>"
        f"<td>{link(f'/sales/order/view/order_id/{one.number}/', f'View Order {one.number}')}</td></tr>"
        for one in reversed(state(request).orders)
    )
    return framed(request, "My Orders", f"<table>{rows}</table>")


@routes.get("/sales/order/view/order_id/{number}/")
async def order(request: web.Request) -> web.Response:
    """One order."""
    if not signed_in(request):
        return see(LOGIN)
    number = request.match_info["number"]
    one = next((one for one in state(request).orders if str(one.number) == number), None)
    if one is None:
        return page("Not found", "<h1>There is no such order</h1>", status=404)
    body = f'<p class="order-status">{one.status}</p>' + listed([escape(line) for line in one.lines])
    return framed(request, f"Order # {one.number}", body + f"<p>Grand Total {money(one.total)}</p>")


@routes.get("/customer/account/")
@routes.get("/wishlist/")
async def account(request: web.Request) -> web.Response:
    """A customer's own page."""
    if not signed_in(request):
        return see(LOGIN)
    body = listed([link("/sales/order/history/", "My Orders"), link("/wishlist/", "My Wish List")])
    return framed(request, "My Account", body)


@routes.get(LOGIN)
async def login(request: web.Request) -> web.Response:
    """The login form."""
    fields = field("Email", "username") + field("Password", "password", "password")
    return framed(request, "Customer Login", form(LOGIN, fields, "Sign In"))


@routes.post(LOGIN)
async def enter(request: web.Request) -> web.Response:
    """Check it."""
    return await sign_in(request, "/customer/account/", LOGIN)


@routes.post("/rest/default/V1/integration/admin/token")
async def grant(request: web.Request) -> web.Response:
    """Give the shop's administrator a token."""
    wanted, sent = request.app[ACCOUNT]["admin"], await request.json()
    if sent != wanted:
        return web.json_response({"message": "wrong account"}, status=401)
    return web.json_response("token-of-the-admin")


@routes.get("/rest/V1/orders")
async def orders(request: web.Request) -> web.Response:
    """The newest order."""
    if request.headers.get("Authorization") != "Bearer token-of-the-admin":
        return web.json_response({"message": "no token"}, status=401)
    newest = max(state(request).orders, key=lambda one: one.placed)
    return web.json_response(
        {"items": [{"increment_id": f"{newest.number:09d}", "created_at": newest.placed}]}
    )


@routes.get("/rest/V1/products/{sku}/reviews")
async def reviews(request: web.Request) -> web.Response:
    """The reviews of an article, the newest last."""
    if request.headers.get("Authorization") != "Bearer token-of-the-admin":
        return web.json_response({"message": "no token"}, status=401)
    found = state(request).reviews.get(request.match_info["sku"], [])
    told = [
        {"title": one.title, "nickname": one.author, "ratings": [{"percent": one.stars * 20}]}
        for one in found
    ]
    return web.json_response(told)
