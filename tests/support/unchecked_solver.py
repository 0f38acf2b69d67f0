"""A worker of ReWOO's algebra that evaluates what it is sent, to test the limits alone."""

from __future__ import annotations

from tasks.rewoo.tools import equations


def handler() -> equations.EquationSolver:
    equations.solve = eval
    return equations.handler()
