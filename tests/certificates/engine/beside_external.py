"""How a zone with an external CA stands: who has its own keys, and whether they sign."""

import pytest

from certificates import backups, identity_cas, keys, trust
from certificates.actions import authorities
from certificates.models import IdentityCA, KeyRequest, Operation, ServerCertificate
from tests.certificates.engine import changing
from tests.certificates.engine.conftest import SERVERS
from tests.certificates.engine.keeping import make_backup
from tests.certificates.external_ca import ExternalCA
from zcc.ground import clock, here


@pytest.fixture
def outside(living, tmp_path):
    """The zone's CA is Acme's, in Overlap; a backup was made before."""
    living.file, living.first_ca = make_backup(living), living.ca
    backups.remember(KeyRequest.objects.get(), by=living.alice, at=clock.now())
    living.acme = ExternalCA(tmp_path / "outside")
    changing.carry_through(living, changing.to_external(living, living.acme), external=living.acme)
    return living


@pytest.fixture
def retired(outside):
    """The zone's CA is Acme's alone: the old one is retired."""
    authorities.retire_old_ca(Operation.objects.get(), by=outside.alice, now=clock.now())
    outside.run()
    assert Operation.objects.get().state == "completed"
    return outside


def homes_with(found):
    return {name for name in SERVERS if found(here.home(name))}


def assert_only_signing_server(living, name):
    """Update key and identity CA are on one server and its home alone, and both sign."""
    home = here.home(name)
    assert living.ca.server.name == name
    assert homes_with(lambda one: keys.has_update_key(one, living.zone)) == {name}
    assert homes_with(keys.identity_keys) == {name}
    signer = identity_cas.in_force(living.ca)
    assert (signer.server.name, keys.identity_keys(home)) == (name, {signer.guid})
    assert IdentityCA.objects.get(guid=signer.guid).key_destroyed_at is None
    assert ServerCertificate.objects.current().filter(device__name=name).exists()
    epoch = trust.published(living.zone).epoch
    told = trust.publish(living.zone, home=home, now=clock.now(), above=epoch + 1)
    assert told.epoch == epoch + 2
