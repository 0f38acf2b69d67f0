"""Tests that share a world run in one worker; tests of other worlds may run in others."""

from __future__ import annotations

from one_worker import scope

CONTRACT = "tests/tasks/test_contract.py::TestContract::"


def test_the_tests_of_a_file_stay_together():
    tests = ("test_a", "test_b[x]", "test_b[a::b[c]-1]")
    assert {scope(f"tests/e2e/test_wheel.py::{test}") for test in tests} == {"tests/e2e/test_wheel.py"}


def test_the_contracts_tests_of_a_task_stay_together_and_apart_from_other_tasks():
    of_gsm8k = {scope(f"{CONTRACT}{test}") for test in ("test_a[gsm8k]", "test_b[gsm8k-10 MB]")}
    assert of_gsm8k == {scope(f"{CONTRACT}test_c[gsm8k-a::b]")} != {scope(f"{CONTRACT}test_a[mmlu]")}


def test_a_run_with_workers_uses_it(request):
    """As the controller of `pytest -n` asks for its scheduler."""
    hook = request.config.pluginmanager.hook.pytest_xdist_make_scheduler
    assert any(found.plugin_name.endswith("tests/conftest.py") for found in hook.get_hookimpls())
