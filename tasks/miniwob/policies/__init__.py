"""One script per listed page, written in the instruction language of the prompts."""

from collections.abc import Callable

from tasks.miniwob.policies import forms, lists, shapes, sites
from tasks.miniwob.policies.sight import PageContent, Policy

POLICIES: dict[str, Callable[[PageContent], Policy]] = {
    "choose-list": lists.choose_list,
    "click-button": lists.press_button,
    "click-button-sequence": lists.two_buttons,
    "click-checkboxes": lists.boxes,
    "click-checkboxes-large": lists.boxes,
    "click-checkboxes-soft": lists.similar_boxes,
    "click-checkboxes-transfer": lists.boxes,
    "click-collapsible": lists.collapsible,
    "click-collapsible-2": lists.hidden_link,
    "click-color": shapes.color,
    "click-dialog": lists.dialog,
    "click-dialog-2": lists.dialog,
    "click-link": lists.link,
    "click-menu": lists.menu,
    "click-option": lists.boxes,
    "click-scroll-list": lists.scroll_list,
    "click-shades": shapes.shades,
    "click-shape": shapes.shape,
    "click-tab": lists.tab,
    "click-tab-2": lists.hidden_link,
    "click-tab-2-hard": lists.hidden_link,
    "click-test": lists.first_button,
    "click-test-2": lists.first_button,
    "click-widget": lists.widget,
    "count-shape": shapes.count_shapes,
    "email-inbox": sites.mail,
    "email-inbox-forward-nl": sites.mail,
    "email-inbox-forward-nl-turk": sites.mail,
    "email-inbox-nl-turk": sites.mail,
    "enter-date": forms.date,
    "enter-password": forms.password,
    "enter-text": forms.text,
    "enter-text-dynamic": forms.text,
    "enter-time": forms.time,
    "focus-text": forms.focus,
    "focus-text-2": forms.focus,
    "grid-coordinate": shapes.grid,
    "login-user": forms.login,
    "navigate-tree": sites.tree,
    "search-engine": sites.search,
    "simple-algebra": forms.algebra,
    "social-media": sites.post,
    "social-media-all": sites.posts,
    "social-media-some": sites.posts,
    "terminal": sites.terminal,
    "use-spinner": forms.spinner,
}

__all__ = ["POLICIES", "PageContent", "Policy"]
