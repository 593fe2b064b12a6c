"""The documentation: its links lead somewhere, and its generated pages are what the code says."""

import importlib.util
import re
import subprocess

import pytest
from conftest import CHECKOUT

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def markdown_files():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split() if (CHECKOUT / name).is_file()]


def anchors(text):
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", markdown_files())
def test_every_link_leads_to_a_file_and_a_heading(name):
    page = CHECKOUT / name
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_generated_pages_are_what_the_code_says():
    spec = importlib.util.spec_from_file_location("generate", CHECKOUT / "docs/reference/generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for name, text in generate.pages().items():
        assert (CHECKOUT / "docs/reference" / name).read_text(encoding="utf-8") == text, f"{name}: run `make docs`"


def test_every_promise_of_the_reliability_page_names_a_test():
    text = (CHECKOUT / "docs/reference/reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|(?! fault |---).*\| ([^|]*) \|$", text, re.MULTILINE)
    assert len(rows) > 60
    for row in rows:
        file = ""
        for name in re.findall(r"`([^`]+)`", row):
            path, _, test = name.partition("::")
            file = path or file
            assert (CHECKOUT / file).is_file(), name
            assert not test or f"def {test}(" in (CHECKOUT / file).read_text(encoding="utf-8"), name
