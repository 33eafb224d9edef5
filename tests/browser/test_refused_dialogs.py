"""Dialogs that are refused, and redrawn: nothing in that breaks the page's own policy."""

from playwright.sync_api import expect

from devices.models import Device
from tests.browser.test_accessibility import ca, operation
from tests.certificates import building

__all__ = ["ca", "operation"]

AT_REST = [
    *("change-ca", "remint-ca", "rehearse", "backup-ca", "verify-backup", "restore-ca"),
    *("move-ca-role", "import-certificate", "generate-csr", "remint-server-certificate"),
]
# What a password manager leaves on a field, by script: the policy allows that, and no more.
MARK = """() => { for (const one of document.querySelectorAll("dialog :is(input, select)"))
  one.style.setProperty("background-image", "none"); }"""
# The old form is still there for a moment when the answer has come: what is new has no such mark.
OPEN = """path => { document.querySelector("dialog form")?.setAttribute("data-old", "");
  htmx.ajax("GET", path, "#dialog"); }"""
SUBMIT = """() => { const form = document.querySelector("dialog form");
  form.setAttribute("data-old", ""); form.requestSubmit(); }"""
SETTLED = """() => document.querySelector("dialog[open] form:not([data-old])")
  && !document.querySelector(".htmx-settling, .htmx-swapping")"""


def refuse(page, path):
    """Open the dialog over its page and submit it as it is, twice; return its errors."""
    page.evaluate(OPEN, path)
    page.wait_for_function(SETTLED)
    for _ in range(2):
        page.evaluate(MARK)
        with page.expect_response(lambda response: path in response.url) as answer:
            page.evaluate(SUBMIT)
        assert (path, answer.value.status) == (path, 422)
        page.wait_for_function(SETTLED)
        expect(page.get_by_role("dialog").get_by_role("alert").first).to_be_visible()


def broken(errors):
    return [line for line in errors if "Content Security Policy" in line]


def test_dialogs_at_rest(console, live_server, ca, errors):
    console.goto(f"{live_server.url}/certificates/")

    for name in AT_REST:
        refuse(console, f"/certificates/{name}/")
        assert (name, broken(errors)) == (name, [])


def test_dialogs_of_an_operation(console, live_server, operation, now, errors):
    console.goto(f"{live_server.url}/certificates/")
    own = f"/certificates/operations/{operation.pk}"

    refuse(console, f"{own}/sign-off/")
    Device.objects.filter(name="ws-1").update(trusted_fingerprints=[operation.old_ca.sha256])
    building.overlap(building.arm(operation, now), now)
    for name in ("retire-old-ca", "roll-back"):
        refuse(console, f"{own}/{name}/")

    assert broken(errors) == []
