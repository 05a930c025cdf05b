"""People at work in both windows, at any moment; everything they do is remembered in ``Person``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from tests.simulation.neighbours import BESIDE, RETYPED_ELSEWHERE
from tests.simulation.oracle import (
    canon,
    entries_of_items,
    entries_of_rows,
    is_relevant,
    marked_value,
    own_text,
)
from tests.simulation.unreadable import UNREADABLE
from tests.simulation.worlds import (
    FREE,
    KOMM_KZ,
    TYPES,
    UNCLEAR,
    Firm,
    Person,
    add_row,
    drawn_entry,
    marks_of,
    too_long,
)

Json = dict[str, Any]
MOST = 9
OF_MAIL = 4  # kommKz of a mail address
MADE_CLEAR = "made clear"
DOUBTFUL = 0.1  # how often a number is retyped as what nobody can read
UNREAD = 0.2  # how often an edit is about what nobody can read
SHARED = 0.12  # how often an edit is about what several records hold
PLAIN_NUMBER = re.compile(r"\+49\d+")


class People:
    """Edits on one person at a time; each returns what was done in words, None when there was nothing to do."""

    def __init__(self, firm: Firm) -> None:
        self.firm = firm

    def edit(
        self, person: Person, dice: Random, *, side: str | None = None, actions: Sequence[Action] = ()
    ) -> str | None:
        """One edit on either side, or on the given one, any or one of these."""
        if person.away:
            return None
        where = side or dice.choice(("espo", "advo"))
        action = dice.choice(actions or {"espo": IN_ESPO, "advo": IN_ADVO}[where])
        if self.firm.nature.edition > 1 and dice.random() < SHARED:
            action = dice.choice(BESIDE[where])
        if self.firm.nature.edition > 2 and dice.random() < UNREAD:
            action = dice.choice(UNREADABLE[where])
        before, rows = self.values(person), {row["id"]: row for row in self.firm.rows(person)}
        types = self.types()
        told = action(self, person, dice)
        if told:
            self.note_retyped(person, types)
            self.note(person, before)
            self.note_texts(person, rows)
            person.kinds.add(action.__name__)
            person.marks |= marks_of(self.firm, person) if where == "espo" else {}
        return told and f"person{person.number} {action.__name__}: {told}"

    def values(self, person: Person) -> dict[str, Counter[str]]:
        return {
            "espo": entries_of_items(self.firm.espo.items(person.entity_id)),
            "advo": entries_of_rows(self.firm.rows(person)),
        }

    def note(self, person: Person, before: dict[str, Counter[str]]) -> None:
        """Remember what the edit added and took away."""
        after = self.values(person)
        person.crowded |= len(after["espo"] | after["advo"]) >= MOST
        for side in ("espo", "advo"):
            for value in before[side] - after[side]:
                person.removed(side, value, still=bool(after[side][value]))
            for value in after[side] - before[side]:
                person.added(side, value)
                if after[side][value] > 1:
                    person.doubled.add(value)
        for value in [one for one in person.hidden if not after["espo"][one]]:
            self.note_cleared(person, value, after["espo"])

    def note_cleared(self, person: Person, value: str, stands: Mapping[str, int]) -> None:
        """Who edits or removes an item that was unclear gives up, too, the number it was typed over."""
        person.kinds.add(MADE_CLEAR)
        for number in person.hides(value):
            if number not in stands:
                person.removed("espo", number, still=True)
        del person.hidden[value]

    def types(self) -> dict[str, str | None]:
        """EspoCRM's types by number; of one that several records hold it keeps one."""
        return {number: row.type for number, row in self.firm.espo.store.phones.rows.items()}

    def note_retyped(self, person: Person, before: Mapping[str, str | None]) -> None:
        """Remember whose numbers got another type by way of this person's record."""
        retyped = {number for number, kind in self.types().items() if before.get(number, kind) != kind}
        for other in self.firm.persons if retyped else ():
            if other is not person and retyped & self.firm.espo.store.phones.held.get(other.entity_id, {}).keys():
                other.kinds.add(RETYPED_ELSEWHERE)

    def note_texts(self, person: Person, before: Mapping[int, Json]) -> None:
        """Remember beside which values people's own texts stand on purpose; of a text that is cut the whole one too."""
        self.note_replaced(person, before)
        cutting = self.firm.nature.max_bemerkung is not None
        for row in self.firm.rows(person):
            value = row["tlf"] or marked_value(row["bemerkung"])  # an emptied row still says whose it was
            if row != before.get(row["id"]) and value:
                for text in {own_text(row["bemerkung"]), person.texts.get(row["id"], "") if cutting else ""}:
                    person.meant.setdefault(text, set()).add(canon(value))

    def note_replaced(self, person: Person, before: Mapping[int, Json]) -> None:
        """Who edits or removes a row that was unclear gives up, too, the number that its marker still says."""
        now = {row["id"]: row["tlf"] for row in self.firm.rows(person)}
        values = entries_of_rows(self.firm.rows(person))
        for row in before.values():
            value, was = marked_value(row["bemerkung"]), row["tlf"]
            if is_number(was) and now.get(row["id"]) != was:
                person.typed_over.setdefault(row["id"], []).append(canon(was or ""))
            if value and is_unclear(was) and now.get(row["id"]) != was and not values[value]:
                person.removed("advo", value, still=False)
                person.kinds.add(MADE_CLEAR)

    # in EspoCRM

    def phones(self, person: Person) -> list[Json]:
        return [item for item in self.firm.espo.items(person.entity_id) if "phoneNumber" in item]

    def mails(self, person: Person) -> list[Json]:
        return [item for item in self.firm.espo.items(person.entity_id) if "emailAddress" in item]

    def save(self, person: Person, **arrays: Any) -> bool:
        try:
            self.firm.espo.edit(person.entity_id, **arrays)
        except ValueError:
            return False
        return True

    def add_item(self, person: Person, dice: Random) -> str | None:
        value, _, kind = drawn_entry(person, dice)
        if kind is None and dice.random() < (0.7 if self.firm.nature.max_tlf else 0.1):
            value = too_long(value)
        phones, mails = self.phones(person), self.mails(person)
        if len(phones if kind else mails) >= MOST:
            return None
        done = self.save(person, phones=[*phones, (value, kind)]) if kind else self.save(person, mails=[*mails, value])
        person.asked |= {canon(value)} if done and kind else set()
        return value if done else None

    def share_item(self, person: Person, dice: Random) -> str | None:
        """A number or mail address that another record has already; EspoCRM keeps its type for both."""
        other = dice.choice(self.firm.persons)
        held = entries_of_items(self.firm.espo.items(person.entity_id))
        theirs = self.firm.espo.items(other.entity_id)
        free = [one for one in theirs if not entries_of_items([one]).keys() & held.keys()]
        if other is person or not free or max(len(self.phones(person)), len(self.mails(person))) >= MOST:
            return None
        one = dice.choice(free)
        value = one.get("phoneNumber") or one["emailAddress"]
        self.firm.shared.add(canon(value))
        if "phoneNumber" in one:
            kind = dice.choice((one["type"], dice.choice(TYPES)))
            done = self.save(person, phones=[*self.phones(person), (value, kind)])
        else:
            done = self.save(person, mails=[*self.mails(person), value])
        return f"{value} of person{other.number}" if done else None

    def change_item(self, person: Person, dice: Random) -> str | None:
        phones, mails = self.phones(person), self.mails(person)
        if not phones + mails:
            return None
        old = dice.choice(phones + mails)
        number = person.new_number()
        if "phoneNumber" in old:
            new = {**old, "phoneNumber": f"+49511{number}"}
            if not self.save(person, phones=[new if one is old else one for one in phones]):
                return None
            person.earlier[new["phoneNumber"]] = canon(old["phoneNumber"])
            return f"{old['phoneNumber']} -> {new['phoneNumber']}"
        new = {"emailAddress": f"neu{number}@kanzlei-muster.de", "primary": old["primary"]}
        done = self.save(person, mails=[new if one is old else one for one in mails])
        return f"{old['emailAddress']} -> {new['emailAddress']}" if done else None

    def delete_item(self, person: Person, dice: Random) -> str | None:
        phones, mails = self.phones(person), self.mails(person)
        if not phones + mails:
            return None
        old = dice.choice(phones + mails)
        done = self.save(
            person, phones=[one for one in phones if one is not old], mails=[one for one in mails if one is not old]
        )
        return str(old.get("phoneNumber") or old.get("emailAddress")) if done else None

    def retype_item(self, person: Person, dice: Random) -> str | None:
        phones = self.phones(person)
        if not phones:
            return None
        old = dice.choice(phones)
        new = {**old, "type": dice.choice([kind for kind in TYPES if kind != old["type"]])}
        if not self.save(person, phones=[new if one is old else one for one in phones]):
            return None
        person.edits.add("espo")
        person.asked.add(canon(old["phoneNumber"]))
        return f"{old['phoneNumber']} {old['type']} -> {new['type']}"

    def flag_item(self, person: Person, dice: Random) -> str | None:
        phones = self.phones(person)
        if not phones:
            return None
        chosen = dice.choice(phones)
        name = dice.choice(("optOut", "invalid", "primary"))
        flipped = [
            {**one, name: not one[name]} if one is chosen else ({**one, "primary": False} if name == "primary" else one)
            for one in phones
        ]
        return f"{name} of {chosen['phoneNumber']}" if self.save(person, phones=flipped) else None

    def save_only(self, person: Person, dice: Random) -> str | None:
        return "saved" if self.save(person, description=f"Geburtstag {dice.random()}") else None

    def swap_items(self, person: Person, dice: Random) -> str | None:
        """The types of two phones change places."""
        phones = self.phones(person)
        if len(phones) < 2:
            return None
        one, two = dice.sample(phones, 2)
        kinds = {id(one): two["type"], id(two): one["type"]}
        if one["type"] == two["type"]:
            return None
        if not self.save(person, phones=[{**item, "type": kinds.get(id(item), item["type"])} for item in phones]):
            return None
        person.edits.add("espo")
        person.asked |= {canon(one["phoneNumber"]), canon(two["phoneNumber"])}
        return f"types of {one['phoneNumber']} and {two['phoneNumber']}"

    # in Advoware

    def entries(self, person: Person) -> list[Json]:
        return [row for row in self.firm.rows(person) if is_relevant(row["tlf"])]

    def add_new_row(self, person: Person, dice: Random) -> str | None:
        _, value, kind = drawn_entry(person, dice)
        if dice.random() < 0.1:
            value = dice.choice(FREE if self.firm.nature.edition == 1 else FREE + UNCLEAR).format(person.new_number())
        if len(self.entries(person)) >= MOST:
            return None
        add_row(self.firm, person, value, person.text(dice), KOMM_KZ[kind] if kind else 4)
        return value

    def type_many(self, person: Person, dice: Random) -> str | None:
        """More numbers than EspoCRM holds."""
        if dice.random() < 0.7 or len(self.entries(person)) >= MOST:
            return None
        for _ in range(dice.randint(2, 8)):
            add_row(self.firm, person, f"0511/{person.new_number()}", person.text(dice), 1)
        return f"{len(self.entries(person))} rows now"

    def change_row(self, person: Person, dice: Random) -> str | None:
        rows = self.entries(person)
        if not rows:
            return None
        row, number = dice.choice(rows), person.new_number()
        value = f"neu{number}@kanzlei-muster.de" if "@" in row["tlf"] else f"0511/{number}"
        if self.firm.nature.edition > 1 and "@" not in row["tlf"] and dice.random() < DOUBTFUL:
            value = dice.choice(UNCLEAR).format(number)
        self.firm.advo.edit_row(person.betnr, row["id"], value=value)
        return f"{row['tlf']} -> {value}"

    def remove_row(self, person: Person, dice: Random) -> str | None:
        rows = self.entries(person)
        if not rows:
            return None
        row = dice.choice(rows)
        self.forget_text(person, row)
        self.firm.advo.remove_row(person.betnr, row["id"])
        return str(row["tlf"])

    def empty_row(self, person: Person, dice: Random) -> str | None:
        rows = self.entries(person)
        if not rows:
            return None
        row = dice.choice(rows)
        self.firm.advo.empty_row(person.betnr, row["id"], null=dice.random() < 0.5)
        return str(row["tlf"])

    def respell_row(self, person: Person, dice: Random) -> str | None:
        rows = [row for row in self.entries(person) if PLAIN_NUMBER.fullmatch(canon(row["tlf"]))]
        if not rows:
            return None
        row = dice.choice(rows)
        digits = canon(row["tlf"]).removeprefix("+49")
        value = dice.choice(("0{}/{}", "(0{}) {}", "+49 {} {}", "0049 {} {}")).format(digits[:3], digits[3:])
        self.firm.advo.edit_row(person.betnr, row["id"], value=value)
        return f"{row['tlf']} spelled {value}"

    def retext_row(self, person: Person, dice: Random) -> str | None:
        rows = self.firm.rows(person)
        if not rows:
            return None
        row, text = dice.choice(rows), person.text(dice)
        remark = row["bemerkung"] or ""
        bracket = remark[: len(remark) - len(own_text(remark))].rstrip() if own_text(remark) else remark.rstrip()
        self.rewrite(person, row["id"], f"{bracket} {text}" if bracket and text else bracket or text)
        return f"text of {row['id']}: {text!r}"

    def wipe_remark(self, person: Person, dice: Random) -> str | None:
        rows = self.entries(person)
        if not rows:
            return None
        row = dice.choice(rows)
        self.rewrite(person, row["id"], dice.choice(("", None, person.text(dice))))
        return f"remark of {row['id']}"

    def damage_marker(self, person: Person, dice: Random) -> str | None:
        rows = [row for row in self.entries(person) if (row["bemerkung"] or "").startswith("[ESPOCRM:")]
        if not rows:
            return None
        row = dice.choice(rows)
        self.rewrite(person, row["id"], row["bemerkung"].replace("[ESPOCRM:", dice.choice(("[ESPOCRM:%", "[ESPOCRM"))))
        return f"marker of {row['id']}"

    def rewrite(self, person: Person, komm_id: int, remark: str | None) -> None:
        self.forget_text(person, next(row for row in self.firm.rows(person) if row["id"] == komm_id))
        self.firm.advo.edit_row(person.betnr, komm_id, remark=remark)
        person.texts[komm_id] = own_text(remark)

    def forget_text(self, person: Person, row: Json) -> None:
        """The text of this row goes; a retype may have brought it here from the row it was written on."""
        text = own_text(row["bemerkung"])
        if person.texts.get(row["id"], "") != text:
            written_on = [komm_id for komm_id, one in person.texts.items() if one == text]
            person.texts.pop(min(written_on, default=0), None)
        person.texts.pop(row["id"], None)

    def copy_row(self, person: Person, dice: Random) -> str | None:
        """A row copied with its remark, marker included, and retyped."""
        rows = self.entries(person)
        if not rows or len(rows) >= MOST:
            return None
        row = dice.choice(rows)
        value = f"0511 {person.new_number()}" if "@" not in row["tlf"] else f"kopie{person.new_number()}@muster.de"
        komm_id = self.firm.advo.add_row(person.betnr, value, row["bemerkung"])
        person.texts[komm_id] = own_text(row["bemerkung"])
        return f"{row['tlf']} copied as {value}"

    def double_row(self, person: Person, dice: Random) -> str | None:
        """The same number typed into a second row."""
        rows = self.entries(person)
        if not rows or len(rows) >= MOST:
            return None
        row = dice.choice(rows)
        add_row(self.firm, person, row["tlf"], person.text(dice), 1)
        return f"{row['tlf']} doubled"

    def fill_row(self, person: Person, dice: Random) -> str | None:
        """A number typed into an emptied row."""
        rows = [row for row in self.firm.rows(person) if not (row["tlf"] or "").strip()]
        if not rows or len(self.entries(person)) >= MOST:
            return None
        row, number = dice.choice(rows), person.new_number()
        mail = row["kommKz"] == OF_MAIL or "@" in (marked_value(row["bemerkung"]) or "")
        value = f"neu{number}@kanzlei-muster.de" if mail else f"0171/{number}"
        self.firm.advo.edit_row(person.betnr, row["id"], value=value)
        return f"{value} into {row['id']}"

    def swap_rows(self, person: Person, dice: Random) -> str | None:
        """Two rows exchange their values."""
        rows = [row for row in self.entries(person) if canon(row["tlf"]).startswith("+49")]
        if len(rows) < 2:
            return None
        one, two = dice.sample(rows, 2)
        self.firm.advo.edit_row(person.betnr, one["id"], value=two["tlf"])
        self.firm.advo.edit_row(person.betnr, two["id"], value=one["tlf"])
        person.edits.add("advo")
        return f"{one['tlf']} and {two['tlf']} change places"


def is_number(value: str | None) -> bool:
    """Whether a row's value is one number for certain."""
    return canon(value or "").startswith("+")


def is_unclear(value: str | None) -> bool:
    """Whether a row shows what is no one number and no mail address."""
    return bool(value) and not is_number(value) and "@" not in str(value)


Action = Callable[[People, Person, Random], "str | None"]
IN_ESPO: tuple[Action, ...] = (
    People.add_item, People.add_item, People.change_item, People.change_item, People.delete_item, People.delete_item,
    People.retype_item, People.flag_item, People.save_only, People.swap_items, People.share_item,
)  # fmt: skip
IN_ADVO: tuple[Action, ...] = (
    People.add_new_row, People.add_new_row, People.change_row, People.change_row, People.remove_row, People.empty_row,
    People.respell_row, People.retext_row, People.wipe_remark, People.damage_marker, People.copy_row,
    People.double_row, People.fill_row, People.swap_rows, People.type_many,
)  # fmt: skip
SAVES = frozenset({*(action.__name__ for action in IN_ESPO), "opt_out"})
"""What makes a record modified by somebody else, so that types on it count (rules.md §3, Type changes)."""
