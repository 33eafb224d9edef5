"""What it looks like when a dialog is closed, or stays open with a reason."""


def assert_is_closed(response, to="/certificates/"):
    """Without htmx it is a redirect; with it, 204 and HX-Redirect (tests/zcc/test_dialogs.py)."""
    assert (response.status_code, response["Location"]) == (303, to)


def assert_is_refused(response, sentence):
    assert response.status_code == 422
    assert sentence in response.text.replace("&#x27;", "'")
    assert "Nothing has changed." in response.text
