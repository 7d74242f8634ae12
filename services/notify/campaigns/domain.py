"""Who gets a campaign's prompt, and where each stands now. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from services.notify.contacts.domain import NOWHERE, Appointment, Contact
from services.notify.outbound.domain import OPEN, Standing, readiness


@dataclass(frozen=True, slots=True)
class Round:
    """What a campaign of one week knows when it looks: posts held now, contacts, who has reported, whether there is something to say."""

    in_post: Mapping[str, Appointment]
    contacts: Mapping[str, Contact]
    has_text: bool
    reporters: Collection[str] = frozenset()

    def standing(self, cadre_no: str) -> Standing:
        contact = self.contacts.get(cadre_no, NOWHERE)
        return readiness(
            in_post=cadre_no in self.in_post,
            opted_out=contact.opted_out,
            has_phone=contact.has_phone,
            has_text=self.has_text,
            reported=cadre_no in self.reporters,
        )

    def language(self, cadre_no: str) -> str:
        return self.contacts.get(cadre_no, NOWHERE).language


def to_be_moved(round: Round, before: Mapping[str, Standing]) -> dict[str, Standing]:
    """Prompts not sent yet that stand elsewhere now: the brief or a phone has come, somebody opted out, left, or reported."""
    return {
        cadre_no: now
        for cadre_no, standing in sorted(before.items())
        if standing.state in OPEN and (now := round.standing(cadre_no)) != standing
    }
