"""What the sites remember, separately for every episode that visits them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

EPISODE = "X-Episode"
"""Header that names the episode; requests without it share one state, as visitors of a real site do."""

MOST = 2000
"""States that are kept; the one that was not used for longest goes first."""


@dataclass(frozen=True, slots=True)
class Product:
    """An article of the shop; prices in cents."""

    sku: str
    name: str
    price: int
    text: str
    category: str = "desk"


PRODUCTS = (
    Product("LAMP01", "Brass Reading Lamp", 3450, "A lamp with a bent neck. Bulb included."),
    Product("LAMP02", "Paper Floor Lamp", 5200, "A tall lamp of folded paper."),
    Product("CARD00", "Sample Card", 0, "A free card that shows all colours."),
    Product("PEN010", "Steel Pen", 1275, "Writes blue. Refills are sold apart."),
    Product("PEN020", "Cedar Pencil Set", 640, "Twelve pencils in a tin."),
    Product("PAD001", "Grey Desk Pad", 2199, "Felt, 60 by 40 centimetres."),
    Product("CLIP05", "Copper Clips", 395, "A hundred paper clips."),
    Product("BIN007", "Wire Bin", 1880, "Holds nine litres."),
    Product("RUL030", "Oak Ruler", 555, "Thirty centimetres long."),
    Product("BAG100", "Linen Bag", 2999, "Made in Porto. Washable.", "bags"),
    Product("BAG200", "Canvas Satchel", 7400, "Two pockets and a strap.", "bags"),
)


@dataclass(slots=True)
class Order:
    """A customer's order."""

    number: int
    lines: list[str]
    total: int
    placed: str
    status: str = "Pending"


@dataclass(slots=True)
class Review:
    """A customer's opinion of an article, 1 to 5 stars."""

    author: str
    stars: int
    title: str


@dataclass(slots=True)
class Post:
    """A contribution to the forum."""

    number: int
    forum: str
    title: str
    text: str
    author: str
    votes: int = 1
    comments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Issue:
    """An issue of the project."""

    number: int
    title: str
    open: bool = True


def _orders() -> list[Order]:
    return [
        Order(17, ["Oak Ruler"], 555, "2023-03-02 10:00:00", "Complete"),
        Order(18, ["Wire Bin", "Copper Clips"], 2275, "2023-05-11 09:30:00"),
    ]


def _reviews() -> dict[str, list[Review]]:
    return {
        "LAMP01": [Review("Ida", 4, "Bright enough"), Review("Jonas", 2, "The neck wobbles")],
        "PEN010": [Review("Mira", 5, "Never leaks")],
    }


def _posts() -> list[Post]:
    return [
        Post(1, "gardening", "When to prune roses", "Late winter, before the buds open.", "thornfan", 41),
        Post(2, "gardening", "Slugs again", "Is there anything that keeps them away?", "leafy", 12),
        Post(3, "bread", "My starter is 9 years old", "Its name is Otto.", "crumbs", 88),
        Post(4, "bread", "Rye or wheat", "Which flour do you begin with?", "leafy", 7),
    ]


@dataclass(slots=True)
class SiteState:
    """Everything that a visit can change."""

    cart: list[str] = field(default_factory=list)
    orders: list[Order] = field(default_factory=_orders)
    reviews: dict[str, list[Review]] = field(default_factory=_reviews)
    posts: list[Post] = field(default_factory=_posts)
    texts: dict[str, str] = field(default_factory=lambda: {one.sku: one.text for one in PRODUCTS})
    members: dict[str, str] = field(default_factory=lambda: {"ada": "Owner", "brik": "Developer"})
    issues: list[Issue] = field(
        default_factory=lambda: [
            Issue(1, "Crash on empty input"),
            Issue(2, "Typo in the manual", open=False),
            Issue(3, "Slow start on old disks"),
        ]
    )
    writes: int = 0


class StateBook:
    """The states of all episodes, the shared one under an empty name."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, SiteState] = OrderedDict()
        self.resets = 0

    def of(self, headers: Mapping[str, str]) -> SiteState:
        """The state that a request belongs to."""
        name = headers.get(EPISODE, "")
        state = self._states.setdefault(name, SiteState())
        self._states.move_to_end(name)
        while len(self._states) > MOST:
            self._states.popitem(last=False)
        return state

    def reset(self, name: str = "") -> None:
        """Forget what an episode changed."""
        self.resets += 1
        self._states.pop(name, None)

    def writes(self) -> list[int]:
        """How often each state was written to; those that nobody wrote to are left out."""
        return [state.writes for state in self._states.values() if state.writes]
