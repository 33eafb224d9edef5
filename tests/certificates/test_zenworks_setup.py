"""The page that a server offers to devices without a console: plain files, no Django behind."""

from django.template.loader import render_to_string


def test_page_sends_a_device_without_the_zones_key_to_enrol_again():
    tool = {"file_name": "crt.pyz", "operation": {}}

    page = render_to_string("certificates/zenworks_setup.html", {"tool": tool})

    assert "A device that has lost that key, too, enrols again: remove its folder" in page
    assert "--ca-sha256" not in page


def test_page_tells_how_to_join_and_what_to_compare(zone):
    page = render_to_string(
        "certificates/zenworks_setup.html",
        {
            "zone": zone,
            "address": "127.0.0.1",
            "fingerprint": "AB:CD",
            "agent_sha256": "12" * 32,
        },
    )

    assert (
        "python3 agent.pyz enrol --home DIR --server https://127.0.0.1:7444 "
        "--key REGISTRATION-KEY --fingerprint AB:CD"
    ) in page
    assert "12" * 32 in page
    assert "/static/" not in page
