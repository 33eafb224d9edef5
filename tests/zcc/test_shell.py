"""What every page has: appearance, sign-in, error pages, and a policy that nothing breaks."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from tests.people_and_devices import PASSWORD, alice, bob, make_device, make_update, now, zone

__all__ = ["alice", "bob", "make_device", "make_update", "now", "zone"]


@pytest.mark.parametrize(("chosen", "theme"), [("dark", "dark"), ("light", "light")])
def test_appearance_is_kept_for_the_next_page(client, bob, zone, chosen, theme):
    client.force_login(bob)

    answer = client.post("/appearance/", {"appearance": chosen, "next": "/devices/?q=a"})

    assert answer.url == "/devices/?q=a"
    assert f'data-bs-theme="{theme}"' in client.get("/", secure=True).text
    assert f'data-bs-theme="{theme}"' in client.get("/login/", secure=True, follow=True).text


def test_appearance_system_is_the_default(client, bob, zone):
    client.force_login(bob)

    assert 'data-appearance="system"' in client.get("/").text


@pytest.mark.parametrize("where", ["https://elsewhere.test/", "//elsewhere.test/", ""])
def test_appearance_does_not_lead_elsewhere(client, bob, where):
    client.force_login(bob)

    assert client.post("/appearance/", {"appearance": "dark", "next": where}).url == "/"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("Asia/Tokyo", "JST"),
        ("", "UTC"),
        ("Europe", "UTC"),
        ("Mars/Olympus", "UTC"),
        ("../../etc/passwd", "UTC"),
        ("x" * 10_000, "UTC"),
    ],
)
def test_times_are_in_the_time_zone_of_the_browser(client, bob, zone, told, shown):
    client.force_login(bob)
    client.cookies["zcc_time_zone"] = told

    assert f"all times {shown}" in client.get("/").text


def test_time_zone_of_the_settings_is_everybodys(client, bob, zone, settings):
    settings.TIME_ZONE_IS_FIXED = True
    client.force_login(bob)
    client.cookies["zcc_time_zone"] = "Asia/Tokyo"

    assert "all times UTC" in client.get("/").text


def test_unknown_appearance_is_refused(client, bob):
    client.force_login(bob)

    assert client.post("/appearance/", {"appearance": "pink"}).status_code == 400


def test_sign_in_keeps_the_name_and_empties_the_password(client, bob, zone):
    response = client.post("/login/", {"username": "bob", "password": "wrong-one"})

    assert "Name or password is not right." in response.text
    assert 'value="bob"' in response.text
    assert "wrong-one" not in response.text


def test_sign_in_leads_to_the_page_that_was_wanted(client, bob, zone):
    form = {"username": "bob", "password": PASSWORD, "next": "/devices/"}

    assert client.post("/login/", form).url == "/devices/"


def test_unknown_page_is_not_found_in_words(client, bob):
    client.force_login(bob)

    response = client.get("/no-such-page/")

    assert response.status_code == 404
    assert "There is nothing here" in response.text


def test_nothing_inline_so_that_the_policy_holds():
    markup = [path.read_text() for path in Path(settings.BASE_DIR, "templates").rglob("*.html")]

    assert [text for text in markup if re.search(r"<script>|<style|\sstyle=|\son\w+=", text)] == []


def test_policy_is_sent_with_every_page(client, bob, zone):
    client.force_login(bob)

    policy = client.get("/")["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
