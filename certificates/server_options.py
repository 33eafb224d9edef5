"""What a row of the servers' pane offers for a future certificate, and says while there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.urls import reverse

from certificates.models.operation import CANCELLABLE_STATES
from certificates.models.server_certificate import State

if TYPE_CHECKING:
    from certificates.server_rows import ServerRow


@dataclass(frozen=True)
class Option:
    """A link in the column `Options`: to a dialog, or to a file."""

    id: str
    text: str
    url: str
    label: str
    is_file: bool = False


def future_options(row: ServerRow) -> list[Option]:
    """Return what can be done about the server's future certificate now, besides viewing it."""
    operation = row.future.operation if row.future is not None else row.operation
    if operation is None or row.is_taken_back:
        return []
    if operation.is_to_external:
        return _of_external(row)
    if row.lacks and row.may_manage and operation.state in CANCELLABLE_STATES:
        url = reverse("certificates:reissue_certificate", args=[row.device.pk])
        return [_option("anew", "Make it anew", url, row)]
    return []


def _of_external(row: ServerRow) -> list[Option]:
    found = []
    if row.future is not None and row.future.state == State.REQUESTED and not row.lacks:
        url = reverse("certificates:download_csr", args=[row.device.pk])
        found.append(_option("csr", "Download CSR", url, row, is_file=True))
        if row.may_manage:
            found.append(_option("import", "Import", _for("import_certificate", row), row))
    if row.lacks and row.may_manage and not (row.progress and row.progress.is_by_hand):
        found.append(_option("generate", "Generate CSR", _for("generate_csr", row), row))
    return found


def _for(name: str, row: ServerRow) -> str:
    return f"{reverse(f'certificates:{name}')}?server={row.device.pk}"


def _option(id: str, text: str, url: str, row: ServerRow, *, is_file: bool = False) -> Option:
    what = "Import Certificate" if text == "Import" else text
    return Option(f"{id}-{row.device.pk}", text, url, f"{what} of {row.device.name}", is_file)


def missing_line(row: ServerRow) -> str:
    """Say how a certificate that is missing will come."""
    if not row.is_lacking or row.progress is None:
        return ""
    if row.progress.is_by_hand:
        return "put server.pem, with its chain, and key.der into its remint-repo"
    if row.is_late:
        return "it makes its CSR when it is back"
    if not row.device.is_primary_server:
        return "it makes its CSR at its next refresh"
    return "it is making its key and its CSR"
