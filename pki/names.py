"""Names: what an administrator may type, and how it stands in a certificate."""

import ipaddress
import re
import unicodedata

from cryptography import x509
from cryptography.x509.oid import NameOID

MAX_COMMON_NAME = 64  # RFC 5280, appendix A: ub-common-name
MAX_DNS_NAME = 253  # RFC 1035, 2.3.4, as text
MAX_TYPED = 1024  # characters; IDNA is slow on very long text
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Letters and marks that show nothing: fillers, joiners, selectors (Unicode:
# Default_Ignorable_Code_Point). The selectors and U+20E3 also turn digits into emoji.
_UNSEEN = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, 0x20E3}
_UNSEEN |= {*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
# IDNA 2003 makes something else of these, such as strasse of straße: another owner's domain.
_DEVIATIONS = set("ßẞς\u200c\u200d")
# Letters, marks, numbers, punctuation, space; of the symbols only what keyboards have.
_WRITABLE = {"L", "M", "N", "P"}
_SYMBOLS = set("+<>=|~^$`")
PERMANENT_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.3")
_ORDER = [
    (NameOID.COMMON_NAME, "CN"),
    (NameOID.SERIAL_NUMBER, "serialNumber"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "OU"),
    (NameOID.ORGANIZATION_NAME, "O"),
    (NameOID.LOCALITY_NAME, "L"),
    (NameOID.STATE_OR_PROVINCE_NAME, "ST"),
    (NameOID.COUNTRY_NAME, "C"),
    (NameOID.DOMAIN_COMPONENT, "DC"),
]


def check_common_name(text: str) -> str:
    """
    Return the common name for a CA as it will stand in the certificate (trimmed, NFC).

    Raises ValueError with a sentence for the user: empty, over 64 characters (RFC 5280, appendix A)
    or with a character that cannot be seen or could deceive.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise ValueError("Type a common name for the CA, such as the name of the zone.")
    if len(name) > MAX_COMMON_NAME:
        raise ValueError(
            f"The common name has {len(name)} characters; at most {MAX_COMMON_NAME} fit into a "
            "certificate. Shorten it."
        )
    for character in name:
        if reason := _why_not(character):
            raise ValueError(f"The common name contains {reason}. Remove it.")
    if unicodedata.category(name[0])[0] == "M":
        raise ValueError(
            "The common name begins with an accent that belongs to no letter. Remove it."
        )
    return name


def check_subject_part(text: str, *, most: int) -> str:
    """
    Return a part of a subject other than the common name as it will stand there (trimmed, NFC).

    It may be empty. Raises ValueError with a sentence for the user: over `most` characters (RFC
    5280, appendix A), or with one that cannot be seen or could deceive.
    """
    part = unicodedata.normalize("NFC", text).strip()
    if len(part) > most:
        raise ValueError(f"This has {len(part)} characters; at most {most} fit into a certificate.")
    for character in part:
        if reason := _why_not(character):
            raise ValueError(f"This contains {reason}. Remove it.")
    return part


def _why_not(character: str) -> str | None:
    """Say what is wrong with a character in a name, None if nothing is."""
    code = f"U+{ord(character):04X}"
    category = unicodedata.category(character)
    if character in _BIDI:
        return f"a mark that changes the writing direction ({code})"
    if category == "Cc":
        return f"a control character ({code})"
    if category == "Cs":
        return f"half of a character ({code})"
    if _is_unseen(character, category):
        return f"an invisible or unknown character ({code})"
    if category[0] == "S" and character not in _SYMBOLS:
        return f"a symbol or emoji ({code})"
    if category[0] in _WRITABLE or character == " " or character in _SYMBOLS:
        return None
    return f"a character that cannot be used ({code})"


def _is_unseen(character: str, category: str) -> bool:
    """Say whether a character shows nothing, or nobody knows what: unassigned, private use."""
    is_odd_space = category[0] == "Z" and character != " "
    return category[0] == "C" or is_odd_space or ord(character) in _UNSEEN


def check_dns_name(text: str) -> str:
    """
    Return a DNS name normalised: lower case, IDNA A-labels, no dot at the end.

    Raises ValueError with a sentence for the user: a wildcard, an address, an underscore, a label
    or name too long (RFC 1035, 2.3.4), or no host name at all.
    """
    name = text.strip().removesuffix(".").lower()
    shown = printable(name if len(name) <= 80 else name[:77] + "...")
    if not name:
        raise ValueError("Type a DNS name, such as ps1.example.com.")
    if len(name) > MAX_TYPED:
        raise ValueError(
            f"{shown} has {len(name)} characters; a DNS name has at most {MAX_DNS_NAME}."
        )
    if "*" in name:
        raise ValueError(
            f"{shown} is a wildcard. A wildcard certificate needs a request made by another tool."
        )
    if "_" in name:
        raise ValueError(f"{shown} contains an underscore, which no host name may have.")
    if is_ip(name):
        raise ValueError(f"{shown} is an IP address. It belongs to the addresses.")
    return _ascii(name, shown)


def _ascii(name: str, shown: str) -> str:
    if not _DEVIATIONS.isdisjoint(name):
        raise ValueError(
            f"{shown} has a letter that not all programs write alike. Type the name's xn-- form."
        )
    try:
        name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"{shown} cannot be written as a DNS name.") from error
    if len(name) > MAX_DNS_NAME:
        raise ValueError(
            f"{shown} has {len(name)} characters; a DNS name has at most {MAX_DNS_NAME}."
        )
    for label in name.split("."):
        if not _is_label(label):
            raise ValueError(
                f"{shown} is not a DNS name: each part has 1 to 63 letters, digits or hyphens."
            )
    if name.rpartition(".")[2].isdigit():
        raise ValueError(f"{shown} is not a DNS name: its last part is a number.")
    return name


def _is_label(label: str) -> bool:
    if not _LABEL.fullmatch(label):
        return False
    try:
        return not label.startswith("xn--") or bool(label[4:].encode().decode("punycode"))
    except UnicodeError:
        return False


def is_ip(text: str) -> bool:
    """Say whether the text is an IPv4 or IPv6 address, with or without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_ip(text: str) -> str:
    """
    Return an IP address in its usual form.

    Raises ValueError with a sentence for the user: not an address, or one with a zone (RFC 4007,
    11), which means something on one host only and has no place in a certificate.
    """
    typed = text.strip()
    try:
        address = ipaddress.ip_address(typed)
    except ValueError as error:
        raise ValueError(f"{typed[:60]!r} is not an IP address.") from error
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        raise ValueError(f"{printable(typed[:60])} names a network card. Leave out the % part.")
    return str(address)


def ca_subject(common_name: str, *, serial_number: str) -> x509.Name:
    """
    Return the subject of a CA: the common name, and the generation as serialNumber.

    Two generations never share a subject: several trust stores know one key per name.
    """
    return x509.Name(
        [
            x509.NameAttribute(NameOID.SERIAL_NUMBER, serial_number),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def identity_ca_subject(zone_name: str, *, serial_number: str) -> x509.Name:
    """Return the subject of a zone's identity CA: whose it is, shortened to what a CN can hold."""
    ending = " Identities"
    begins = zone_name.strip()[: MAX_COMMON_NAME - len(ending)].strip()
    return ca_subject(f"{begins}{ending}", serial_number=serial_number)


def server_subject(dns_name: str) -> x509.Name:
    """
    Return the subject of a server: its DNS name as CN, if a common name can hold it.

    A longer one is written as domain components (RFC 2247), so that a CN is always one of the
    alternative names and the subject is never empty.
    """
    if len(dns_name) <= MAX_COMMON_NAME:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns_name)])
    labels = reversed(dns_name.split("."))
    return x509.Name([x509.NameAttribute(NameOID.DOMAIN_COMPONENT, label) for label in labels])


def display(name: x509.Name) -> str:
    """Return a name for people: `CN=..., serialNumber=..., O=...`, most telling part first."""
    known = dict(_ORDER)
    order = {oid: index for index, (oid, _) in enumerate(_ORDER)}
    last_first = list(name)[::-1]  # RFC 4514, 2.1; then sorted, which keeps the order of equals
    parts = sorted(last_first, key=lambda attribute: order.get(attribute.oid, len(order)))
    return ", ".join(
        f"{known.get(part.oid, part.oid.dotted_string)}={_shown(part.value)}" for part in parts
    )


def _shown(value: str | bytes) -> str:
    return printable(value if isinstance(value, str) else value.hex())


def printable(text: str) -> str:
    """Return the text with what cannot be seen, or turns the direction, written as its number."""
    return "".join(part if part.isprintable() else f"\\u{ord(part):04x}" for part in text)


def permanent_identifier(guid: str) -> x509.OtherName:
    """Return the alternative name of a mobile device's identity: its GUID, by RFC 4043, 2."""
    text = guid.encode("ascii")
    utf8 = bytes([0x0C, len(text)]) + text  # identifierValue UTF8String
    return x509.OtherName(PERMANENT_IDENTIFIER, bytes([0x30, len(utf8)]) + utf8)


def read_permanent_identifier(name: x509.OtherName) -> str | None:
    """Return the GUID in an alternative name that `permanent_identifier` made, None for others."""
    text = name.value[4:].decode("ascii", errors="replace")
    is_ours = text.isascii() and len(text) < 128 and permanent_identifier(text) == name
    return text if is_ours else None
