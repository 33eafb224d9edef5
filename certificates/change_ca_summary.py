"""What `Finish` will begin, in the words of the steps before: the last look at what was chosen."""

from certificates.change_ca_wizard import AUTHORITY, CSR, Wizard
from certificates.forms import ChangeCSRForm
from certificates.models.operation import CsrMode
from pki import keys
from zcc.templatetags.numbers import count


def summary(wizard: Wizard) -> list[tuple[str, str]]:
    """Return label and answer of what was chosen before the last step; all of it is valid."""
    return _external(wizard) if wizard.is_to_external else _internal(wizard)


def _internal(wizard: Wizard) -> list[tuple[str, str]]:
    typed, server = wizard.answers.get(AUTHORITY, {}), wizard.change.server
    years = typed.get("years", "").strip()
    return [
        ("Certificate server", server.name if server else ""),
        ("Subject", typed.get("common_name", "")),
        ("Key Length", _key(typed)),
        ("Valid for", count(int(years), "year") if years.isdecimal() else years),
        _names(typed),
    ]


def _external(wizard: Wizard) -> list[tuple[str, str]]:
    typed, form = wizard.answers.get(CSR, {}), wizard.answered(CSR)
    if typed.get("csr_mode") == CsrMode.MANUAL:
        return [("CSRs", "You generate them yourself, and put each certificate into remint-repo")]
    is_valid = isinstance(form, ChangeCSRForm) and form.is_valid()
    subject = form.subject() if is_valid and isinstance(form, ChangeCSRForm) else {}
    parts = ", ".join(f"{name}={value}" for name, value in subject.items())
    servers = count(len(wizard.servers), "server")
    return [
        ("CSRs", f"Made by {servers}"),
        ("Subject of each", f"CN=its DNS name{', ' if parts else ''}{parts}"),
        ("Key Length", _key(typed)),
        _names(typed),
    ]


def _key(typed: dict[str, str]) -> str:
    chosen = typed.get("key_type", "")
    return keys.KEY_TYPES.get(chosen, chosen)


def _names(typed: dict[str, str]) -> tuple[str, str]:
    included = bool(typed.get("include_additional_dns_names"))
    return "Additional DNS names", "Included" if included else "Not included"
