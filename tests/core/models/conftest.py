"""Lets these tests import the servers that stand beside them, and reads what TGI says of its protocol."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def openapi(mirror):
    """TGI's OpenAPI document."""
    return json.loads((mirror / "tgi" / "docs" / "openapi.json").read_text())
