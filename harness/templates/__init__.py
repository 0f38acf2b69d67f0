"""Chat templates, rendered here and not by the server, exact to the codepoint."""

from harness.templates.finding import names, template
from harness.templates.roles import ConversationError, check_alternation, sanitize
from harness.templates.template import Template

__all__ = [
    "ConversationError",
    "Template",
    "check_alternation",
    "names",
    "sanitize",
    "template",
]
