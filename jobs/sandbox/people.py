"""People at work: the edits they make in both windows, at random or told as one day at the small firm."""

from __future__ import annotations

import itertools
import re
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobs.sandbox.advoware.api import AdvoSim
    from jobs.sandbox.espocrm.api import EspoSim
    from jobs.sandbox.firm import PersonIds
    from jobs.sandbox.simulator import Json

PHONE_TYPES = ("Office", "Mobile", "Home", "Fax", "Other")
MAX_ENTRIES = 9  # a tenth item is the last that EspoCRM takes
NUMBER_PATTERN = re.compile(r"\+?[\d\s()/-]{6,}")
MAIL_PATTERN = re.compile(r"[\w.+-]+@[\w.-]+", re.ASCII)
MIN_ENTRIES = 2


def random_edits(espo: EspoSim, advo: AdvoSim, count: int, seed: int) -> list[str]:
    """Let people make n edits on linked persons of both sides; returns what each did, in words.

    Entries are added, changed, deleted and retyped, remarks edited; the last entry of a side is never taken away.
    """
    editors = Editors(espo, advo, Random(seed))  # noqa: S311  people, no secret
    return list(itertools.islice(editors.edits(), count))


class Editors:
    """Makes edits on persons that are linked and stand on both sides."""

    def __init__(self, espo: EspoSim, advo: AdvoSim, random: Random) -> None:
        self.espo = espo
        self.advo = advo
        self.random = random
        highest = self._highest_number()
        self.numbers = itertools.count(highest + 1)

    def edits(self) -> Iterator[str]:
        """Edits without end, as long as there is a person to edit."""
        actions: tuple[Callable[[str, int], str | None], ...] = (
            self.add_item, self.add_mail, self.change_item, self.delete_item, self.retype_item,
            self.add_row, self.change_row, self.remove_row, self.empty_row, self.remark_row, self.refill_row,
        )  # fmt: skip
        persons = self.persons()
        while persons:
            entity_id, betnr = self.random.choice(persons)
            description = self.random.choice(actions)(entity_id, betnr)
            if description:
                yield f"{betnr}: {description}"

    # in EspoCRM

    def add_item(self, entity_id: str, _betnr: int) -> str | None:
        """A new phone."""
        phones = self.phones(entity_id)
        if len(phones) > MAX_ENTRIES:
            return None
        new = {"phoneNumber": f"+49511{next(self.numbers)}", "type": self.random.choice(PHONE_TYPES)}
        self.espo.edit(entity_id, phones=[*phones, new])
        return f"EspoCRM: {new['phoneNumber']} added"

    def add_mail(self, entity_id: str, _betnr: int) -> str | None:
        """A new mail."""
        mails = self._mails(entity_id)
        if len(mails) > MAX_ENTRIES:
            return None
        new = f"neu{next(self.numbers)}@kanzlei-muster.de"
        self.espo.edit(entity_id, mails=[*mails, new])
        return f"EspoCRM: {new} added"

    def change_item(self, entity_id: str, _betnr: int) -> str | None:
        """Another number in the place of one."""
        phones = self.phones(entity_id)
        if not phones:
            return None
        old = self.random.choice(phones)
        new = {**old, "phoneNumber": f"+49511{next(self.numbers)}"}
        self.espo.edit(entity_id, phones=[new if phone is old else phone for phone in phones])
        return f"EspoCRM: {old['phoneNumber']} changed to {new['phoneNumber']}"

    def delete_item(self, entity_id: str, _betnr: int) -> str | None:
        """One phone less."""
        phones = self.phones(entity_id)
        if not phones or len(self.espo.items(entity_id)) <= MIN_ENTRIES:
            return None
        old = self.random.choice(phones)
        self.espo.edit(entity_id, phones=[phone for phone in phones if phone is not old])
        return f"EspoCRM: {old['phoneNumber']} deleted"

    def retype_item(self, entity_id: str, _betnr: int) -> str | None:
        """Another type for a phone."""
        phones = self.phones(entity_id)
        if not phones:
            return None
        old = self.random.choice(phones)
        new = {**old, "type": self.random.choice([kind for kind in PHONE_TYPES if kind != old["type"]])}
        self.espo.edit(entity_id, phones=[new if phone is old else phone for phone in phones])
        return f"EspoCRM: {old['phoneNumber']} is {new['type']} now"

    # in Advoware

    def add_row(self, _entity_id: str, betnr: int) -> str:
        """A new number."""
        value = f"0511 {next(self.numbers)}"
        self.advo.add_row(betnr, value, self.random.choice((None, "Büro", "nur abends")))
        return f"Advoware: {value} added"

    def change_row(self, _entity_id: str, betnr: int) -> str | None:
        """Another value on a row; its remark, marker included, stays."""
        row = self._pick(self.entries(betnr))
        if row is None:
            return None
        number = next(self.numbers)
        value = f"neu{number}@kanzlei-muster.de" if "@" in row["tlf"] else f"0511/{number}"
        self.advo.edit_row(betnr, row["id"], value=value)
        return f"Advoware: {row['tlf']} changed to {value}"

    def remove_row(self, _entity_id: str, betnr: int) -> str | None:
        """A row deleted."""
        entries = self.entries(betnr)
        if len(entries) <= MIN_ENTRIES:
            return None
        row = self.random.choice(entries)
        self.advo.remove_row(betnr, row["id"])
        return f"Advoware: {row['tlf']} deleted"

    def empty_row(self, _entity_id: str, betnr: int) -> str | None:
        """A row's value cleared."""
        entries = self.entries(betnr)
        if len(entries) <= MIN_ENTRIES:
            return None
        row = self.random.choice(entries)
        self.advo.empty_row(betnr, row["id"], null=self.random.random() < 0.5)  # noqa: PLR2004  half
        return f"Advoware: {row['tlf']} cleared"

    def remark_row(self, _entity_id: str, betnr: int) -> str | None:
        """A word more in a remark."""
        row = self._pick(self.entries(betnr))
        if row is None:
            return None
        self.advo.edit_row(betnr, row["id"], remark=f"{row['bemerkung'] or ''} dringend")
        return f"Advoware: remark of {row['tlf']} edited"

    def refill_row(self, _entity_id: str, betnr: int) -> str | None:
        """A number typed into an empty row."""
        row = self._pick([row for row in self.advo.rows(betnr) if not row["tlf"]])
        if row is None:
            return None
        value = f"0511 {next(self.numbers)}"
        self.advo.edit_row(betnr, row["id"], value=value)
        return f"Advoware: {value} typed into an empty row"

    def persons(self) -> list[tuple[str, int]]:
        """Who is linked and stands on both sides: EspoCRM's ID and the betnr."""
        in_advoware = self.advo.beteiligte.persons
        linked = [
            (record.id, record.values["betnr"]) for record in self.espo.store.records.values() if not record.deleted
        ]
        return [(entity_id, betnr) for entity_id, betnr in linked if betnr in in_advoware]

    def phones(self, entity_id: str) -> list[Json]:
        """The record's phones; none when EspoCRM would refuse one of them being echoed."""
        phones = [item for item in self.espo.items(entity_id) if "phoneNumber" in item]
        return phones if all(item["phoneNumber"].startswith("+") for item in phones) else []

    def _mails(self, entity_id: str) -> list[Json]:
        return [item for item in self.espo.items(entity_id) if "emailAddress" in item]

    def entries(self, betnr: int) -> list[Json]:
        """The person's rows that hold a number or a mail, free text and web addresses aside."""
        return [row for row in self.advo.rows(betnr) if _is_entry(row["tlf"] or "")]

    def _pick(self, rows: list[Json]) -> Json | None:
        return self.random.choice(rows) if rows else None

    def _highest_number(self) -> int:
        """The highest seven-digit number in use, so that new ones are new."""
        texts = [*self.espo.store.phones.rows, *self.espo.store.mails.rows]
        texts += [row["tlf"] or "" for betnr in self.advo.beteiligte.persons for row in self.advo.rows(betnr)]
        return max([3_000_000, *(int(digits) for text in texts for digits in re.findall(r"\d{7}(?!\d)", text))])


def _is_entry(value: str) -> bool:
    return bool(NUMBER_PATTERN.fullmatch(value) or MAIL_PATTERN.fullmatch(value))


def make_first_day_edits(espo: EspoSim, advo: AdvoSim, firm: dict[str, PersonIds]) -> list[str]:
    """The edits of the demo, each variant once, on a small firm that was synced before; returns them in words."""
    max_mustermann, erika, juergen, kaethe = (firm[name] for name in ("Mustermann", "Weiß", "Lüders", "Krämer"))
    mehmet, ilse = firm["Yilmaz"], firm["Brandt"]
    espo.edit(erika.entity_id, phones=["+495113210011", ("+495113210012", "Fax"), ("+495113210013", "Mobile")])
    espo.edit(mehmet.entity_id, phones=["+495113210041"])
    advo.remove_row(juergen.betnr, find_row_id(advo, juergen.betnr, "3210022"))
    advo.add_row(ilse.betnr, "0511 3210059", "Empfang")
    espo.edit(max_mustermann.entity_id, phones=[("+495111234599", "Office"), "+491712223334"])
    advo.edit_row(kaethe.betnr, find_row_id(advo, kaethe.betnr, "3210031"), value="0511 3210039")
    return [
        "Erika Weiß gets a mobile number in EspoCRM (Var1)",
        "Mehmet Yilmaz loses his mobile number in EspoCRM (Var2)",
        "Jürgen Lüders loses his mobile number in Advoware (Var3)",
        "Ilse Brandt gets a number in Advoware (Var4)",
        "Max Mustermann's office number changes in EspoCRM (Var5)",
        "Käthe Krämer's number changes in Advoware (Var6)",
    ]


def make_second_day_edits(espo: EspoSim, advo: AdvoSim, firm: dict[str, PersonIds]) -> list[str]:
    """What the first day cannot show, because it needs one that was synced; after `a_day_at_the_office` was."""
    max_mustermann, erika, mehmet, ilse = (firm[name] for name in ("Mustermann", "Weiß", "Yilmaz", "Brandt"))
    espo.edit(max_mustermann.entity_id, phones=[("+495111234588", "Office"), "+491712223334"])
    advo.edit_row(max_mustermann.betnr, find_row_id(advo, max_mustermann.betnr, "1234599"), value="0511 1234577")
    espo.edit(erika.entity_id, phones=["+495113210011", ("+495113210012", "Home"), "+495113210013"])
    empty = next(row["id"] for row in advo.rows(mehmet.betnr) if not row["tlf"])
    advo.edit_row(mehmet.betnr, empty, value="0171 3210049")
    advo.edit_row(ilse.betnr, find_row_id(advo, ilse.betnr, "3210052"), remark="nur abends")
    return [
        "Max Mustermann's office number changes on both sides, differently (clash)",
        "Erika Weiß's fax becomes a home number in EspoCRM (retype)",
        "a new number is typed into Mehmet Yilmaz's emptied row in Advoware (Var4)",
        "a remark replaces the marker of Ilse Brandt's mobile number (repair)",
    ]


def find_row_id(advo: AdvoSim, betnr: int, digits: str) -> int:
    """The id of the person's first row whose value holds these digits, however spaced."""
    return next(int(row["id"]) for row in advo.rows(betnr) if digits in re.sub(r"\D", "", row["tlf"] or ""))
