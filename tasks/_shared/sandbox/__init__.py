"""The only place where text that a model wrote is ever executed."""

from tasks._shared.sandbox.probe import Sandbox, host_interpreter, host_python, open_sandbox
from tasks._shared.sandbox.spec import Box, Caps, Command, Result, SandboxFault

__all__ = [
    "Box",
    "Caps",
    "Command",
    "Result",
    "Sandbox",
    "SandboxFault",
    "host_interpreter",
    "host_python",
    "open_sandbox",
]
