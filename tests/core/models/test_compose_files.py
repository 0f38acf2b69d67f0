"""The compose files are valid, say what is not pinned, and publish the ports models.toml expects."""

import os
import shutil
import subprocess

import pytest
import yaml

from harness.catalog import models as catalog
from tasks.webarena.sites import SITES


def compose():
    """The compose command of this machine: the plugin, or Debian's docker-compose; none needs a daemon."""
    if shutil.which("docker"):
        probe = subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=60, check=False)
        if probe.returncode == 0:
            return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("no docker compose: apt-get install -y --no-install-recommends docker-compose")


def files(root):
    return sorted((root / "docker").rglob("*.yml"))


def rendered(path, **environment):
    """The file as compose understands it."""
    quiet = [*compose(), "-f", str(path), "config"]
    told = subprocess.run(
        quiet, capture_output=True, text=True, timeout=120, check=False, env=os.environ | environment
    )
    assert told.returncode == 0, f"{path.name}: {told.stderr}"
    return told.stdout


def test_every_compose_file_is_valid(root):
    found = files(root)
    assert {"agentlm-7b.yml", "agentlm-13b.yml", "agentlm-70b.yml", "tgi.yml", "vllm.yml"} <= {
        p.name for p in found
    }
    for path in found:
        command = [*compose(), "-f", str(path), "config", "-q"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert told.returncode == 0, f"{path.name}: {told.stderr}"


def test_images_are_pinned_or_marked(root):
    for path in files(root):
        text = path.read_text()
        images = [line for line in text.splitlines() if line.strip().startswith("image:")]
        loose = [line for line in images if "@sha256:" not in line]
        assert len(loose) <= text.count("unpinned"), f"{path.name}: {loose}"


@pytest.mark.parametrize(("size", "shards"), [("7b", 1), ("13b", 1), ("70b", 4)])
def test_published_settings(root, size, shards):
    text = rendered(root / "docker" / f"agentlm-{size}.yml")
    entry = catalog.find(f"agentlm-{size}")
    port = entry.endpoints[0].rsplit(":", 1)[1]
    assert f"{port}:80" in text or f"published: {port}" in text or f'published: "{port}"' in text
    for line in (
        f"MODEL_ID: {entry.hf}",
        "MAX_INPUT_LENGTH: '4096'",
        "MAX_TOTAL_TOKENS: '16384'",
        "DTYPE: bfloat16",
        f"NUM_SHARD: '{shards}'",
    ):
        assert line in text.replace('"', "'"), line
    assert text.count("image: ghcr.io/huggingface/text-generation-inference:sha-4cce843") == (
        2 if shards == 4 else 8
    )


def test_the_sites_have_health_checks_base_urls_and_controls_that_only_this_machine_reaches(root):
    services = yaml.safe_load(rendered(root / "docker" / "webarena" / "compose.yml", HOST="shop.example"))[
        "services"
    ]
    assert set(services) == {*SITES} - {"homepage"}, "a page of links of the user's own"
    for name, service in services.items():
        assert service["healthcheck"]["test"][0] == "CMD-SHELL", name
        site, control = service["ports"]
        # Versions differ in whether they print a table for each port.
        published = site["published"] if isinstance(site, dict) else site.partition(":")[0]
        base = service["environment"]["WA_ENV_CTRL_EXTERNAL_SITE_URL"]
        assert base == f"http://shop.example:{published}"
        assert "8877" in str(control) and "127.0.0.1" in str(control), name
