"""
The dialog `Change CA` from step to step: what was typed is in a draft row, and nothing elsewhere.

Each step is checked when it is left, and all of them again at `Finish`: meanwhile a server may have
been retired, or a root may have expired.
"""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from certificates import activation
from certificates.actions import authorities, change_ca
from certificates.ca_change import CAChange
from certificates.forms import ChangeActivationForm, ChangeAuthorityForm, ChangeCSRForm
from certificates.forms.change_ca import TO_EXTERNAL, TO_INTERNAL
from certificates.models import CertificateAuthority, ChangeCADraft, Operation
from certificates.models.operation import CsrMode, Policy, WithoutCertificate
from certificates.still_trusted import StillTrusted
from devices.models import Device
from pki import keys, trusted_root
from pki.trusted_root import TrustedRoot

AUTHORITY, CSR, ACTIVATION = "authority", "csr", "activation"
INTERNAL_STEPS, EXTERNAL_STEPS = [AUTHORITY, ACTIVATION], [AUTHORITY, CSR, ACTIVATION]
TITLES = {AUTHORITY: "Certificate authority", CSR: "Generate CSR", ACTIVATION: "Activation"}
Form = ChangeAuthorityForm | ChangeCSRForm | ChangeActivationForm
# Never kept: the password, and what belongs to one request only.
_NOT_KEPT = {"csrfmiddlewaretoken", "password", "although_trusted", "draft", "step", "go", "root"}


class Wizard:
    """The steps of one dialog; `draft` is None until something is kept."""

    def __init__(
        self, draft: ChangeCADraft | None, *, ca: CertificateAuthority, user: Any, now: datetime
    ) -> None:
        self.draft, self.ca, self.user, self.now = draft, ca, user, now
        servers = Device.objects.filter(zone=ca.zone).active().tls_servers()
        self.servers = list(servers.order_by("name"))
        self.silent = authorities.silent_satellites(ca.zone, now=now)
        self.older = StillTrusted(ca)
        self._read: tuple[str, TrustedRoot | None] = ("", None)

    # Where it stands

    @property
    def answers(self) -> dict[str, dict[str, str]]:
        return self.draft.answers if self.draft is not None else {}

    @property
    def is_to_external(self) -> bool:
        return self.answers.get(AUTHORITY, {}).get("change_to") == TO_EXTERNAL

    @property
    def steps(self) -> list[str]:
        return EXTERNAL_STEPS if self.is_to_external else INTERNAL_STEPS

    @property
    def is_immediate(self) -> bool:
        """Whether nothing is waited for, because the active CA has expired."""
        return self.ca.is_expired(self.now)

    def step_after(self, step: str, *, by: int = 1) -> str:
        """Return the next step, or with -1 the one before."""
        steps = self.steps
        at = steps.index(step) + by if step in steps else 0
        return steps[min(max(at, 0), len(steps) - 1)]

    @property
    def root(self) -> TrustedRoot | None:
        """The external root that was uploaded; None if there is none, or it is no good any more."""
        chain = self.draft.chain if self.draft is not None else ""
        if chain != self._read[0]:
            try:
                self._read = (chain, trusted_root.read(chain.encode(), now=self.now))
            except ValueError:
                self._read = (chain, None)
        return self._read[1]

    @property
    def change(self) -> CAChange:
        """What the answers so far amount to."""
        if self.is_to_external:
            was_reordered = self.draft is not None and self.draft.was_reordered
            return CAChange(self.ca, now=self.now, root=self.root, was_reordered=was_reordered)
        return CAChange(self.ca, now=self.now, server=self._server())

    def _server(self) -> Device | None:
        chosen = self.answers.get(AUTHORITY, {}).get("server")
        return next((server for server in self.servers if str(server.pk) == chosen), None)

    # Its forms

    def shown(self, step: str) -> Form:
        """Return the form of a step as it was left, or with what is proposed."""
        proposed = self._proposed(step)
        kept = self.answers.get(step)
        if kept is None:
            return self._form(step, initial=proposed)
        return self._form(step, initial=dict.fromkeys(proposed, "") | kept)

    def submitted(self, step: str, request: HttpRequest) -> Form:
        return self._form(step, request.POST, request.FILES)

    def answered(self, step: str) -> Form:
        """Return the form of a step as it is kept, to be checked once more."""
        return self._form(step, self.answers.get(step, {}))

    def _form(self, step: str, *data: Any, **kwargs: Any) -> Form:
        if step == AUTHORITY:
            return ChangeAuthorityForm(
                *data,
                ca=self.ca,
                servers=self.servers,
                known_root=self.root,
                refusal=self.draft.refusal if self.draft is not None else "",
                now=self.now,
                **kwargs,
            )
        if step == CSR:
            return ChangeCSRForm(*data, servers=self.servers, **kwargs)
        return ChangeActivationForm(
            *data,
            user=self.user,
            ca=self.ca,
            now=self.now,
            silent=self.silent,
            years=self._years(),
            root=self.root if self.is_to_external else None,
            policy_help=self.change.policy_help(),
            older=self.older,
            **kwargs,
        )

    def _years(self) -> int:
        typed = self.answers.get(AUTHORITY, {}).get("years", "")
        return int(typed) if typed.isdigit() else authorities.MAX_YEARS

    def _proposed(self, step: str) -> dict[str, Any]:
        """The manual's defaults, and the first recommended time."""
        key_type = keys.key_type_of(self.ca.x509().public_key()) or keys.DEFAULT
        if step == AUTHORITY:
            return {
                "confirmed": False,
                "change_to": TO_INTERNAL if self.ca.is_internal else TO_EXTERNAL,
                "server": self.ca.server_id,
                "common_name": self.ca.zone.name,
                "key_type": key_type,
                "years": authorities.MAX_YEARS,
                "include_additional_dns_names": True,
            }
        if step == CSR:
            return {
                "csr_mode": CsrMode.AUTOMATIC,
                "key_type": key_type,
                "include_additional_dns_names": True,
            }
        recommended = timezone.localtime(
            activation.recommendation(self.ca.zone, now=self.now).since
        )
        return {
            "policy": Policy.OVERLAP,
            "without_certificate": WithoutCertificate.HOLD,
            "activation_date": recommended.date(),
            "activation_time": recommended.time(),
            "waive_silent": False,
        }

    # What is kept

    def keep(self, step: str, request: HttpRequest, form: Form | None = None) -> None:
        """Keep what was typed in a step, right or wrong, and what came of the file with it."""
        if self.draft is None:
            self.draft = ChangeCADraft(zone=self.ca.zone, by=self.user)
        typed = {name: str(value) for name, value in request.POST.items() if name not in _NOT_KEPT}
        self.draft.answers = {**self.draft.answers, step: typed}
        if isinstance(form, ChangeAuthorityForm) and form.has_file:
            self._keep_file(self.draft, form, name=str(request.FILES["root"]))
        self.draft.updated_at = self.now
        self.draft.save()

    def _keep_file(self, draft: ChangeCADraft, form: ChangeAuthorityForm, *, name: str) -> None:
        """Only the file that was chosen last counts: the root in it, or why it is refused."""
        read = form.read_root
        draft.chain = change_ca.pem((*read.intermediates, read.root)) if read else ""
        draft.was_reordered = read.was_reordered if read else False
        draft.refusal = form.refusal
        draft.file_name = name[:200]

    # How it ends

    def first_invalid(self) -> str | None:
        """Return the first step before the last whose answers will not do, None if all will."""
        steps = self.steps[:-1]
        return next((step for step in steps if not self.answered(step).is_valid()), None)

    def finish(self, last: ChangeActivationForm, *, console: Device) -> Operation:
        """Begin the operation. All steps are valid. Raises OperationInProgress and Refused."""
        assert self.draft is not None
        asked = last.cleaned_data
        common: dict[str, Any] = {
            "activate_at": asked.get("activate_at", self.now),
            "policy": asked.get("policy", Policy.OVERLAP),
            "waive_silent": asked.get("waive_silent", False),
            "idempotency_key": self.draft.guid,
        }
        if self.is_to_external:
            operation = self._finish_external(common, asked, console=console)
        else:
            operation = self._finish_internal(common)
        self.draft.delete()
        return operation

    def _finish_internal(self, common: dict[str, Any]) -> Operation:
        form = self.answered(AUTHORITY)
        form.is_valid()
        names = ("common_name", "key_type", "years", "include_additional_dns_names")
        server = Device.objects.get(pk=form.cleaned_data["server"])
        wished = {name: form.cleaned_data[name] for name in names}
        wishes = change_ca.InternalWishes(**common, **wished, server=server)
        return change_ca.change_to_internal(self.ca, wishes, by=self.user, now=self.now)

    def _finish_external(
        self, common: dict[str, Any], asked: dict[str, Any], *, console: Device
    ) -> Operation:
        root, form = self.root, self.answered(CSR)
        if root is None or not isinstance(form, ChangeCSRForm) or not form.is_valid():
            raise authorities.Refused("The root is no longer acceptable. Choose its file again.")
        wishes = change_ca.ExternalWishes(
            **common,
            trusted=root,
            csr_mode=form.cleaned_data["csr_mode"],
            csr_subject=form.subject(),
            key_type=form.cleaned_data["key_type"],
            include_additional_dns_names=form.cleaned_data["include_additional_dns_names"],
            without_certificate=asked["without_certificate"],
            console=console,
        )
        return change_ca.change_to_external(self.ca, wishes, by=self.user, now=self.now)
