"""Status by Device as a file for a spreadsheet (CSV): what the filters leave, row by row."""

import csv
from collections.abc import Iterator
from datetime import datetime

from systemupdates.models import DeviceUpdate, SystemUpdate
from systemupdates.status_by_device import Wanted, rows

COLUMNS = (
    "Device",
    "Kind",
    "Satellite roles",
    "Folder",
    "DNS name",
    "IP addresses",
    "Update Status",
    "Reason",
    "Status since",
    "Attempt",
    "Trusts (CAs)",
    "Version",
    "Last contact",
)
# What makes a spreadsheet take a text for a formula. Names and reasons come from devices.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Line:
    """What `csv` writes a line to: it is handed on at once and kept nowhere."""

    def write(self, line: str) -> str:
        return line


def lines(update: SystemUpdate, wanted: Wanted) -> Iterator[str]:
    """Yield the lines of the file, its head first; times are UTC in ISO 8601."""
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for row in rows(update, wanted).order_by(*wanted.order()).iterator(chunk_size=2000):
        yield writer.writerow([safe(cell) for cell in _cells(row)])


def _cells(row: DeviceUpdate) -> list[str]:
    device = row.device
    return [
        device.name,
        device.get_kind_display(),
        ", ".join(device.roles),
        device.folder_path,
        device.dns_name,
        ", ".join(device.addresses),
        row.word,
        row.reason,
        _time(row.changed_at),
        str(row.attempt),
        str(len(device.trusted_fingerprints)),
        device.version,
        _time(device.last_contact_at),
    ]


def _time(at: datetime | None) -> str:
    return "" if at is None else at.isoformat(timespec="seconds")


def safe(cell: str) -> str:
    """Return the text so that no spreadsheet takes it for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell
