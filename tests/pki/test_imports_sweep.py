"""
Chains of public test suites, judged as an external CA's certificates are.

The files lie beside the repository and are not part of it.
"""

import gzip
import json
import tarfile
import time
from datetime import datetime

import pytest
from cryptography import x509

from pki import chains, describe, imports
from tests.pki import odd_files
from tests.pki.odd_files import CORPUS, SECONDS


@pytest.fixture(scope="module")
def archive():
    if not CORPUS.exists():
        pytest.skip("certificates-corpus.tgz is not beside the repository")
    with tarfile.open(CORPUS) as archive:
        yield archive


@pytest.fixture(scope="module")
def cases(archive):
    packed = archive.extractfile("certificates-corpus/chains.jsonl.gz").read()
    return [json.loads(line) for line in gzip.decompress(packed).decode().splitlines()]


def loaded(texts):
    return [one for text in texts for one in x509.load_pem_x509_certificates(text.encode())]


def names_in(leaf):
    """What the leaf's alternative names say it is for; of a wildcard one that it covers."""
    known = describe.describe(leaf).alternative_names
    names = [entry.partition(": ")[2] for entry in known if entry.startswith(("DNS: ", "IP: "))]
    return [name.replace("*", "any") for name in names]


def why_refused(case):
    """Return why the chain is refused under every root it names, nothing if it is accepted."""
    try:
        leaf, pool = loaded([case["leaf"]])[0], loaded(case["untrusted"])
        roots = loaded(case["trusted"])
    except ValueError as error:
        return str(error)
    names = [case["peer"]["value"]] if case["peer"] else names_in(leaf)[:1]
    if not names:
        return "It has no alternative name."
    at = datetime.fromisoformat((case["time"] or "2026-01-01T00:00:00Z").replace("Z", "+00:00"))
    said = ""
    for root in roots:
        try:
            imports.intermediates_for(leaf, pool, imports.Wanted(names, at, root))
        except ValueError as error:
            said = str(error)
        else:
            return ""
    return said


def test_no_chain_that_must_be_refused_is_accepted(cases):
    bad = [case for case in cases if case["gate"] == "must-reject"]

    assert len(bad) == 100
    assert [case["id"] for case in bad if not why_refused(case)] == []


def test_chains_that_must_be_accepted_are_if_they_name_a_server(cases):
    good = [case for case in cases if case["gate"] == "must-accept"]
    good = [case for case in good if names_in(loaded([case["leaf"]])[0])]

    refused = {case["id"]: why_refused(case) for case in good if why_refused(case)}

    assert len(good) > 10
    assert refused == {}


def test_no_chain_takes_long(cases):
    def seconds(case):
        begun = time.process_time()
        why_refused(case)
        return time.process_time() - begun

    assert [case["id"] for case in cases if seconds(case) > SECONDS] == []


@pytest.mark.parametrize("source", [odd_files.of_the_corpus, odd_files.of_the_vectors])
def test_view_certificate_describes_everything_that_loads(source):
    described = 0
    for _, data in source():
        try:
            found = chains.load(data)
        except ValueError:
            continue
        for certificate in found:
            facts = describe.describe(certificate)
            assert len(facts.sha256) == 95
            described += 1
    assert described > 200
