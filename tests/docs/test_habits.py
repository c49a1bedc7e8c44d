"""The habits of the project are written down once and agree with one another."""

from __future__ import annotations

import re
import tomllib

import yaml

from tests.docs.pages import ROOT, page

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_workflow_runs_what_everybody_runs() -> None:
    """The workflow calls `.ci/run` on each Python that the package allows, and a make target."""
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    last_steps = {name: job["steps"][-1]["run"] for name, job in jobs.items()}
    assert last_steps == {"ci": ".ci/run", "coverage": "make coverage"}
    assert jobs["ci"]["strategy"]["matrix"]["python"] == ["3.11", "3.12"]
    assert not any(word in text for word in ("pytest", "ruff", "mypy"))


def test_the_hook_runs_what_everybody_runs() -> None:
    """The hook before a commit is `make check`, defined in the Makefile alone."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]] == ["make check"]


def test_the_bug_form_asks_for_what_helps() -> None:
    """Version and settings are required, and reason codes have a field."""
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text())
    fields = {field["id"]: field for field in form["body"] if "id" in field}
    required = {
        name for name, field in fields.items() if field.get("validations", {}).get("required")
    }
    assert {"version", "settings"} <= required
    assert "reasons" in fields


def test_the_changelog_keeps_its_form() -> None:
    """Versions have dates and fall, the newest is the package's, and groups are known ones."""
    text = page("CHANGELOG.md").text
    versions = re.findall(r"^## \[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
    numbers = [tuple(int(part) for part in version) for version in versions]
    assert len(numbers) >= 2
    assert numbers == sorted(numbers, reverse=True)
    assert ".".join(str(part) for part in numbers[0]) == VERSION

    kinds = set(re.findall(r"^### (.*)", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    groups = set(re.findall(r"^#### (.*)", text, re.MULTILINE))
    assert groups == {"Serve", "Tools", "Bench", "Documentation"}


def test_security_supports_the_version_that_is_released() -> None:
    """The newest line of the table of supported versions is the package's."""
    newest = re.findall(r"^\| ([\d.]+) \| yes \|", page("SECURITY.md").text, re.MULTILINE)
    assert newest == [VERSION.rpartition(".")[0]]
