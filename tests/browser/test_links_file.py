"""`Make links` in the browser: the file of links arrives by itself, and the links work."""

import csv

from agent.mobile import Link
from devices.models import EnrolmentLink
from tests.devices.enrolment_links import server

__all__ = ["server"]


def test_file_with_the_links_is_handed_over_once(
    console, live_server, make_device, server, errors, tmp_path
):
    for name in ("phone1", "phone2"):
        make_device(name, kind="mobile")
    console.goto(f"{live_server.url}/certificates/mobiles/")
    console.get_by_role("link", name="Make links").click()

    with console.expect_download() as handed:
        console.get_by_role("button", name="Make links").click()
    handed.value.save_as(tmp_path / "links.csv")

    lines = list(csv.DictReader((tmp_path / "links.csv").read_text().splitlines()))
    assert [line["Mobile"] for line in lines] == ["phone1", "phone2"]
    assert {Link.read(line["Re-enrolment link"]).fingerprints[0] for line in lines} == {server}
    assert EnrolmentLink.objects.count() == 2
    assert errors == []
    console.get_by_role("link", name="Done").click()
    console.get_by_text("2 of 2 have a link that nobody has used yet.").wait_for()
