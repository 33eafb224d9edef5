"""
Takes the pictures of the README: `make screenshots`.

A demo zone of its own is set up in a temporary folder, a remint is started through the dialog as a
person would, and the pages are photographed while it runs.
"""

import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs/screenshots"
NETWORK = "127.66.0"
CONSOLE = f"https://{NETWORK}.1:7443"
PASSWORD = "only-for-pictures"
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DIALOGS = ["backup-ca", "verify-backup", "move-ca-role", "restore-ca"]
LOOKS = [("light", 1280), ("dark", 1280), ("light", 390)]


def main() -> None:
    """Run the zone and take every picture."""
    OUT.mkdir(exist_ok=True)
    with running_zone(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM
        )
        for dialog in DIALOGS:
            photograph(signed_in(browser, "light", 1280), dialog)
        start_remint(signed_in(browser, "light", 1280))
        for scheme, width in LOOKS:
            page = signed_in(browser, scheme, width)
            page.goto(f"{CONSOLE}/certificates/")
            page.wait_for_load_state("networkidle")
            picture = OUT / f"certificates-remint.{scheme}.{width}.png"
            page.screenshot(path=picture, full_page=True)
        browser.close()


@contextmanager
def running_zone() -> Iterator[None]:
    """Set up a demo zone and run it until the pictures are taken."""
    home = tempfile.mkdtemp(prefix="zcc-pictures-")
    environment = {**os.environ, "ZCC_HOME": home, "ZCC_ADMIN_PASSWORD": PASSWORD}
    manage = [sys.executable, str(ROOT / "manage.py")]
    subprocess.run([*manage, "migrate", "-v0"], env=environment, check=True)
    subprocess.run([*manage, "setup_demo", "--network", NETWORK], env=environment, check=True)
    zone = subprocess.Popen([*manage, "runzone", "--demo"], env=environment)
    try:
        wait_until_it_answers()
        time.sleep(20)  # the devices enrol, and the Satellite gets its certificate
        yield
    finally:
        zone.send_signal(signal.SIGTERM)
        zone.wait(60)
        shutil.rmtree(home, ignore_errors=True)


def wait_until_it_answers() -> None:
    """Wait for the console, at most a minute."""
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{CONSOLE}/health", context=anyone, timeout=2).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def signed_in(browser: Browser, scheme: str, width: int) -> Page:
    """Return a page of a signed-in administrator."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, ignore_https_errors=True, color_scheme=scheme
    )
    page = context.new_page()
    page.goto(f"{CONSOLE}/login/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{CONSOLE}/")
    return page


def photograph(page: Page, dialog: str) -> None:
    """Take the picture of a dialog as it opens over its page."""
    page.goto(f"{CONSOLE}/certificates/")
    if dialog == "verify-backup":
        page.click("#backup-ca")
    page.click(f"#{dialog}")
    page.wait_for_selector(f"dialog[open] form[action$='{dialog}/']")
    page.screenshot(path=OUT / f"{dialog}.light.1280.png")


def start_remint(page: Page) -> None:
    """Start a remint through its dialog, and wait until every device is ready for it."""
    page.goto(f"{CONSOLE}/certificates/")
    page.get_by_text("Remint CA").first.click()
    page.wait_for_selector("dialog[open]")
    page.check("dialog[open] [name=confirmed]")
    page.fill("dialog[open] [name=password]", PASSWORD)
    page.screenshot(path=OUT / "remint-dialog.light.1280.png")
    page.get_by_role("button", name="OK").click()
    page.get_by_text("11 of 11 ready").first.wait_for(timeout=90_000)


if __name__ == "__main__":
    main()
