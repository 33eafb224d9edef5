"""The console, used as an administrator uses it: over HTTPS, by its pages and dialogs."""

import html
import http.cookiejar
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from zcc.drill.zone import PASSWORD, Failed

ADMIN = "admin"
SECONDS = 30
_TAG = re.compile(r"<[^>]+>")
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
_ERROR = re.compile(r'class="z-note is-bad" role="alert"[^>]*>(.*?)</ul>', re.DOTALL)


@dataclass(frozen=True)
class Numbers:
    """What the page Certificates says of an operation; None where it says nothing."""

    lost: int | None
    holding: int | None
    counted: int | None
    proven: int | None
    switched: int | None


class Console:
    """One administrator's session. `trust` returns the CAs by which the server is verified."""

    def __init__(self, url: str, trust: Callable[[], str]) -> None:
        self.url, self.trust = url.rstrip("/"), trust
        self.cookies = http.cookiejar.CookieJar()

    def sign_in(self) -> None:
        self.post("/login/", username=ADMIN, password=PASSWORD)

    def get(self, path: str) -> str:
        return self._open(urllib.request.Request(self.url + path))

    def post(self, path: str, **fields: str) -> None:
        """Send the form at `path` as its page would. Raises Failed with what it refuses."""
        token = _TOKEN.search(self.get(path))
        if token is None:
            raise Failed(f"There is no form at {path}.")
        data = urllib.parse.urlencode({"csrfmiddlewaretoken": token[1], **fields}).encode()
        headers = {"Referer": self.url + path}
        self._open(urllib.request.Request(self.url + path, data, headers))

    def numbers(self) -> Numbers:
        page = self.get("/certificates/")
        text = plain(page)
        holding = re.search(r"([\d,]+) trust the new CA", text)
        counted = re.search(r"of ([\d,]+) ready\.", text)
        proven = re.search(r"([\d,]+) proven by a TLS connection", text)
        lost = re.search(r"Devices that would be lost ([\d,]+)", text)
        switched = re.search(r"([\d,]+) of [\d,]+ servers show their new certificate", text)
        return Numbers(
            lost=_number(lost),
            holding=_number(holding),
            counted=_number(counted),
            proven=_number(proven),
            switched=_number(switched),
        )

    def remint(self, *, key_type: str, policy: str, at: datetime) -> None:
        self.post(
            "/certificates/remint-ca/",
            confirmed="on",
            although_trusted="on",
            common_name="DEMO-ZONE",
            key_type=key_type,
            years="3",
            policy=policy,
            idempotency_key=str(uuid.uuid4()),
            waive_silent="on",
            password=PASSWORD,
            **_date_and_time(at),
        )

    def postpone(self, operation: int, *, to: datetime) -> None:
        self.post(f"/certificates/operations/{operation}/postpone/", **_date_and_time(to))

    def would_be_lost(self, operation: int) -> dict[str, int]:
        """Return the devices that the dialog `Sign off` names, and their numbers."""
        page = self.get(f"/certificates/operations/{operation}/sign-off/")
        found = re.findall(r'<a class="z-strong" href="/devices/(\d+)/[^"]*">([^<]+)</a>', page)
        return {html.unescape(name): int(number) for number, name in found}

    def sign_off(self, operation: int, devices: dict[str, int], *, reason: str) -> None:
        """Sign off exactly these."""
        self.post(
            f"/certificates/operations/{operation}/sign-off/",
            devices=",".join(map(str, devices.values())),
            reason=reason,
            password=PASSWORD,
        )

    def trusting(self, operation: int) -> dict[str, int]:
        """Return how many trust `both` CAs and only the `old` one, by `Roll back`."""
        text = plain(self.get(f"/certificates/operations/{operation}/roll-back/"))
        found = re.search(r"([\d,]+) trust both CAs, ([\d,]+) only the old one", text)
        if found is None:
            raise Failed("The dialog Roll back does not say whom the devices trust.")
        return {"both": int(found[1]), "old": int(found[2])}

    def completed(self, operation: int) -> int:
        """Return how many have completed the update, by the operation's own page."""
        text = self.get(f"/certificates/operations/{operation}/")
        found = re.search(r'\?status=completed"><b>([\d,]+)</b>', text)
        if found is None:
            raise Failed("The operation's page does not say how many have completed the update.")
        return int(found[1])

    def _open(self, request: urllib.request.Request) -> str:
        """Answer with the page; the context is made anew because the CA may have changed."""
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cadata=self.trust())),
            urllib.request.HTTPCookieProcessor(self.cookies),
        )
        try:
            with opener.open(request, timeout=SECONDS) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            said = " ".join(plain(found) for found in _ERROR.findall(error.read().decode()))
            raise Failed(f"{request.full_url} answered {error.code}: {said}") from error


def plain(page: str) -> str:
    """Return the text of a page, without its tags."""
    return " ".join(html.unescape(_TAG.sub(" ", page)).split()).replace(" ,", ",")


def _number(found: re.Match[str] | None, group: int = 1) -> int | None:
    return int(found[group].replace(",", "")) if found else None


def _date_and_time(at: datetime) -> dict[str, str]:
    at = at.astimezone(UTC)
    return {"activation_date": f"{at:%Y-%m-%d}", "activation_time": f"{at:%H:%M:%S}"}
