"""People at work in both windows, at any moment; everything they do is remembered in ``Person``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from tests.simulation.neighbours import RETYPED_ELSEWHERE, SHARED_ACTIONS
from tests.simulation.oracle import (
    canon,
    entries_of_items,
    entries_of_rows,
    is_relevant,
    marker_value,
    text_in_remark,
)
from tests.simulation.unreadable import UNREADABLE
from tests.simulation.worlds import (
    FREE_TEXTS,
    KOMM_KZ,
    TYPES,
    UNCLEAR_VALUES,
    Firm,
    Person,
    add_person_row,
    item_attributes,
    lengthen_mail,
    random_entry,
)

Json = dict[str, Any]
MAX_ENTRIES = 9
MAIL_KOMM_KZ = 4  # kommKz of a mail address
MADE_CLEAR = "made clear"
UNCLEAR_PROBABILITY = 0.1  # how often a number is retyped as what nobody can read
UNREAD = 0.2  # how often an edit is about what nobody can read
SHARED_EDIT_PROBABILITY = 0.12  # how often an edit is about what several records hold
PLAIN_NUMBER = re.compile(r"\+49\d+")


class People:
    """Edits on one person at a time; each returns what was done in words, None when there was nothing to do."""

    def __init__(self, firm: Firm) -> None:
        self.firm = firm

    def edit(
        self, person: Person, rng: Random, *, side: str | None = None, actions: Sequence[Action] = ()
    ) -> str | None:
        """One edit on either side, or on the given one, any or one of these."""
        if person.absence:
            return None
        edited_side = side or rng.choice(("espo", "advo"))
        action = rng.choice(actions or {"espo": ESPO_ACTIONS, "advo": ADVO_ACTIONS}[edited_side])
        if self.firm.traits.edition > 1 and rng.random() < SHARED_EDIT_PROBABILITY:
            action = rng.choice(SHARED_ACTIONS[edited_side])
        if self.firm.traits.edition > 2 and rng.random() < UNREAD:
            action = rng.choice(UNREADABLE[edited_side])
        before, rows = self.values(person), {row["id"]: row for row in self.firm.rows(person)}
        types = self.types()
        description = action(self, person, rng)
        if description:
            self.note_retyped(person, types)
            self.note_edit(person, before)
            self.note_texts(person, rows)
            person.edit_kinds.add(action.__name__)
            person.item_attributes |= item_attributes(self.firm, person) if edited_side == "espo" else {}
        return description and f"person{person.number} {action.__name__}: {description}"

    def values(self, person: Person) -> dict[str, Counter[str]]:
        return {
            "espo": entries_of_items(self.firm.espo.items(person.entity_id)),
            "advo": entries_of_rows(self.firm.rows(person)),
        }

    def note_edit(self, person: Person, before: dict[str, Counter[str]]) -> None:
        """Remember what the edit added and took away."""
        after = self.values(person)
        person.is_crowded |= len(after["espo"] | after["advo"]) >= MAX_ENTRIES
        for side in ("espo", "advo"):
            for value in before[side] - after[side]:
                person.note_removed(side, value, still_there=bool(after[side][value]))
            for value in after[side] - before[side]:
                person.note_added(side, value)
                if after[side][value] > 1:
                    person.duplicates.add(value)
        for value in [one for one in person.hidden if not after["espo"][one]]:
            self.note_cleared(person, value, after["espo"])

    def note_cleared(self, person: Person, value: str, stands: Mapping[str, int]) -> None:
        """Who edits or removes an item that was unclear gives up, too, the number it was typed over."""
        person.edit_kinds.add(MADE_CLEAR)
        for number in person.hides(value):
            if number not in stands:
                person.note_removed("espo", number, still_there=True)
        del person.hidden[value]

    def types(self) -> dict[str, str | None]:
        """EspoCRM's types by number; of one that several records hold it keeps one."""
        return {number: row.type for number, row in self.firm.espo.store.phones.rows.items()}

    def note_retyped(self, person: Person, before: Mapping[str, str | None]) -> None:
        """Remember whose numbers got another type by way of this person's record."""
        retyped_numbers = {number for number, kind in self.types().items() if before.get(number, kind) != kind}
        for other in self.firm.persons if retyped_numbers else ():
            if (
                other is not person
                and retyped_numbers & self.firm.espo.store.phones.links_by_holder.get(other.entity_id, {}).keys()
            ):
                other.edit_kinds.add(RETYPED_ELSEWHERE)

    def note_texts(self, person: Person, before: Mapping[int, Json]) -> None:
        """Remember beside which values people's own texts stand on purpose; of a text that is cut the whole one too."""
        self.note_replaced_rows(person, before)
        is_truncating = self.firm.traits.max_bemerkung is not None
        for row in self.firm.rows(person):
            value = row["tlf"] or marker_value(row["bemerkung"])  # an emptied row still says whose it was
            if row != before.get(row["id"]) and value:
                for text in {
                    text_in_remark(row["bemerkung"]),
                    person.own_texts.get(row["id"], "") if is_truncating else "",
                }:
                    person.values_of_text.setdefault(text, set()).add(canon(value))

    def note_replaced_rows(self, person: Person, before: Mapping[int, Json]) -> None:
        """Who edits or removes a row that was unclear gives up, too, the number that its marker still says."""
        current_values = {row["id"]: row["tlf"] for row in self.firm.rows(person)}
        values = entries_of_rows(self.firm.rows(person))
        for row in before.values():
            value, old_value = marker_value(row["bemerkung"]), row["tlf"]
            if is_number(old_value) and current_values.get(row["id"]) != old_value:
                person.typed_over.setdefault(row["id"], []).append(canon(old_value or ""))
            if value and is_unclear(old_value) and current_values.get(row["id"]) != old_value and not values[value]:
                person.note_removed("advo", value, still_there=False)
                person.edit_kinds.add(MADE_CLEAR)

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

    def add_item(self, person: Person, rng: Random) -> str | None:
        value, _, kind = random_entry(person, rng)
        if kind is None and rng.random() < (0.7 if self.firm.traits.max_tlf else 0.1):
            value = lengthen_mail(value)
        phones, mails = self.phones(person), self.mails(person)
        if len(phones if kind else mails) >= MAX_ENTRIES:
            return None
        is_saved = (
            self.save(person, phones=[*phones, (value, kind)]) if kind else self.save(person, mails=[*mails, value])
        )
        person.type_chosen |= {canon(value)} if is_saved and kind else set()
        return value if is_saved else None

    def share_item(self, person: Person, rng: Random) -> str | None:
        """A number or mail address that another record has already; EspoCRM keeps its type for both."""
        other = rng.choice(self.firm.persons)
        own_entries = entries_of_items(self.firm.espo.items(person.entity_id))
        other_items = self.firm.espo.items(other.entity_id)
        free_items = [
            other_item for other_item in other_items if not entries_of_items([other_item]).keys() & own_entries.keys()
        ]
        if other is person or not free_items or max(len(self.phones(person)), len(self.mails(person))) >= MAX_ENTRIES:
            return None
        item = rng.choice(free_items)
        value = item.get("phoneNumber") or item["emailAddress"]
        self.firm.shared_values.add(canon(value))
        if "phoneNumber" in item:
            kind = rng.choice((item["type"], rng.choice(TYPES)))
            is_saved = self.save(person, phones=[*self.phones(person), (value, kind)])
        else:
            is_saved = self.save(person, mails=[*self.mails(person), value])
        return f"{value} of person{other.number}" if is_saved else None

    def change_item(self, person: Person, rng: Random) -> str | None:
        phones, mails = self.phones(person), self.mails(person)
        if not phones + mails:
            return None
        old = rng.choice(phones + mails)
        number = person.new_number()
        if "phoneNumber" in old:
            new = {**old, "phoneNumber": f"+49511{number}"}
            if not self.save(person, phones=[new if item is old else item for item in phones]):
                return None
            person.earlier[new["phoneNumber"]] = canon(old["phoneNumber"])
            return f"{old['phoneNumber']} -> {new['phoneNumber']}"
        new = {"emailAddress": f"neu{number}@kanzlei-muster.de", "primary": old["primary"]}
        is_saved = self.save(person, mails=[new if item is old else item for item in mails])
        return f"{old['emailAddress']} -> {new['emailAddress']}" if is_saved else None

    def delete_item(self, person: Person, rng: Random) -> str | None:
        phones, mails = self.phones(person), self.mails(person)
        if not phones + mails:
            return None
        old = rng.choice(phones + mails)
        is_saved = self.save(
            person,
            phones=[item for item in phones if item is not old],
            mails=[item for item in mails if item is not old],
        )
        return str(old.get("phoneNumber") or old.get("emailAddress")) if is_saved else None

    def retype_item(self, person: Person, rng: Random) -> str | None:
        phones = self.phones(person)
        if not phones:
            return None
        old = rng.choice(phones)
        new = {**old, "type": rng.choice([kind for kind in TYPES if kind != old["type"]])}
        if not self.save(person, phones=[new if item is old else item for item in phones]):
            return None
        person.edited_sides.add("espo")
        person.type_chosen.add(canon(old["phoneNumber"]))
        return f"{old['phoneNumber']} {old['type']} -> {new['type']}"

    def flag_item(self, person: Person, rng: Random) -> str | None:
        phones = self.phones(person)
        if not phones:
            return None
        chosen_item = rng.choice(phones)
        flag = rng.choice(("optOut", "invalid", "primary"))
        items = [
            {**item, flag: not item[flag]}
            if item is chosen_item
            else ({**item, "primary": False} if flag == "primary" else item)
            for item in phones
        ]
        return f"{flag} of {chosen_item['phoneNumber']}" if self.save(person, phones=items) else None

    def save_only(self, person: Person, rng: Random) -> str | None:
        return "saved" if self.save(person, description=f"Geburtstag {rng.random()}") else None

    def swap_items(self, person: Person, rng: Random) -> str | None:
        """The types of two phones change places."""
        phones = self.phones(person)
        if len(phones) < 2:
            return None
        first, second = rng.sample(phones, 2)
        kinds = {id(first): second["type"], id(second): first["type"]}
        if first["type"] == second["type"]:
            return None
        if not self.save(person, phones=[{**item, "type": kinds.get(id(item), item["type"])} for item in phones]):
            return None
        person.edited_sides.add("espo")
        person.type_chosen |= {canon(first["phoneNumber"]), canon(second["phoneNumber"])}
        return f"types of {first['phoneNumber']} and {second['phoneNumber']}"

    # in Advoware

    def relevant_rows(self, person: Person) -> list[Json]:
        return [row for row in self.firm.rows(person) if is_relevant(row["tlf"])]

    def add_new_row(self, person: Person, rng: Random) -> str | None:
        _, value, kind = random_entry(person, rng)
        if rng.random() < 0.1:
            value = rng.choice(FREE_TEXTS if self.firm.traits.edition == 1 else FREE_TEXTS + UNCLEAR_VALUES).format(
                person.new_number()
            )
        if len(self.relevant_rows(person)) >= MAX_ENTRIES:
            return None
        add_person_row(self.firm, person, value, person.new_text(rng), KOMM_KZ[kind] if kind else 4)
        return value

    def type_many(self, person: Person, rng: Random) -> str | None:
        """More numbers than EspoCRM holds."""
        if rng.random() < 0.7 or len(self.relevant_rows(person)) >= MAX_ENTRIES:
            return None
        for _ in range(rng.randint(2, 8)):
            add_person_row(self.firm, person, f"0511/{person.new_number()}", person.new_text(rng), 1)
        return f"{len(self.relevant_rows(person))} rows now"

    def change_row(self, person: Person, rng: Random) -> str | None:
        rows = self.relevant_rows(person)
        if not rows:
            return None
        row, number = rng.choice(rows), person.new_number()
        value = f"neu{number}@kanzlei-muster.de" if "@" in row["tlf"] else f"0511/{number}"
        if self.firm.traits.edition > 1 and "@" not in row["tlf"] and rng.random() < UNCLEAR_PROBABILITY:
            value = rng.choice(UNCLEAR_VALUES).format(number)
        self.firm.advo.edit_row(person.betnr, row["id"], value=value)
        return f"{row['tlf']} -> {value}"

    def remove_row(self, person: Person, rng: Random) -> str | None:
        rows = self.relevant_rows(person)
        if not rows:
            return None
        row = rng.choice(rows)
        self.forget_text(person, row)
        self.firm.advo.remove_row(person.betnr, row["id"])
        return str(row["tlf"])

    def empty_row(self, person: Person, rng: Random) -> str | None:
        rows = self.relevant_rows(person)
        if not rows:
            return None
        row = rng.choice(rows)
        self.firm.advo.empty_row(person.betnr, row["id"], null=rng.random() < 0.5)
        return str(row["tlf"])

    def respell_row(self, person: Person, rng: Random) -> str | None:
        rows = [row for row in self.relevant_rows(person) if PLAIN_NUMBER.fullmatch(canon(row["tlf"]))]
        if not rows:
            return None
        row = rng.choice(rows)
        digits = canon(row["tlf"]).removeprefix("+49")
        value = rng.choice(("0{}/{}", "(0{}) {}", "+49 {} {}", "0049 {} {}")).format(digits[:3], digits[3:])
        self.firm.advo.edit_row(person.betnr, row["id"], value=value)
        return f"{row['tlf']} spelled {value}"

    def retext_row(self, person: Person, rng: Random) -> str | None:
        rows = self.firm.rows(person)
        if not rows:
            return None
        row, text = rng.choice(rows), person.new_text(rng)
        remark = row["bemerkung"] or ""
        bracket = (
            remark[: len(remark) - len(text_in_remark(remark))].rstrip() if text_in_remark(remark) else remark.rstrip()
        )
        self.change_remark(person, row["id"], f"{bracket} {text}" if bracket and text else bracket or text)
        return f"text of {row['id']}: {text!r}"

    def wipe_remark(self, person: Person, rng: Random) -> str | None:
        rows = self.relevant_rows(person)
        if not rows:
            return None
        row = rng.choice(rows)
        self.change_remark(person, row["id"], rng.choice(("", None, person.new_text(rng))))
        return f"remark of {row['id']}"

    def damage_marker(self, person: Person, rng: Random) -> str | None:
        rows = [row for row in self.relevant_rows(person) if (row["bemerkung"] or "").startswith("[ESPOCRM:")]
        if not rows:
            return None
        row = rng.choice(rows)
        self.change_remark(
            person, row["id"], row["bemerkung"].replace("[ESPOCRM:", rng.choice(("[ESPOCRM:%", "[ESPOCRM")))
        )
        return f"marker of {row['id']}"

    def change_remark(self, person: Person, komm_id: int, remark: str | None) -> None:
        self.forget_text(person, next(row for row in self.firm.rows(person) if row["id"] == komm_id))
        self.firm.advo.edit_row(person.betnr, komm_id, remark=remark)
        person.own_texts[komm_id] = text_in_remark(remark)

    def forget_text(self, person: Person, row: Json) -> None:
        """The text of this row goes; a retype may have brought it here from the row it was written on."""
        text = text_in_remark(row["bemerkung"])
        if person.own_texts.get(row["id"], "") != text:
            komm_ids = [komm_id for komm_id, remark_text in person.own_texts.items() if remark_text == text]
            person.own_texts.pop(min(komm_ids, default=0), None)
        person.own_texts.pop(row["id"], None)

    def copy_row(self, person: Person, rng: Random) -> str | None:
        """A row copied with its remark, marker included, and retyped."""
        rows = self.relevant_rows(person)
        if not rows or len(rows) >= MAX_ENTRIES:
            return None
        row = rng.choice(rows)
        value = f"0511 {person.new_number()}" if "@" not in row["tlf"] else f"kopie{person.new_number()}@muster.de"
        komm_id = self.firm.advo.add_row(person.betnr, value, row["bemerkung"])
        person.own_texts[komm_id] = text_in_remark(row["bemerkung"])
        return f"{row['tlf']} copied as {value}"

    def double_row(self, person: Person, rng: Random) -> str | None:
        """The same number typed into a second row."""
        rows = self.relevant_rows(person)
        if not rows or len(rows) >= MAX_ENTRIES:
            return None
        row = rng.choice(rows)
        add_person_row(self.firm, person, row["tlf"], person.new_text(rng), 1)
        return f"{row['tlf']} doubled"

    def fill_row(self, person: Person, rng: Random) -> str | None:
        """A number typed into an emptied row."""
        rows = [row for row in self.firm.rows(person) if not (row["tlf"] or "").strip()]
        if not rows or len(self.relevant_rows(person)) >= MAX_ENTRIES:
            return None
        row, number = rng.choice(rows), person.new_number()
        mail = row["kommKz"] == MAIL_KOMM_KZ or "@" in (marker_value(row["bemerkung"]) or "")
        value = f"neu{number}@kanzlei-muster.de" if mail else f"0171/{number}"
        self.firm.advo.edit_row(person.betnr, row["id"], value=value)
        return f"{value} into {row['id']}"

    def swap_rows(self, person: Person, rng: Random) -> str | None:
        """Two rows exchange their values."""
        rows = [row for row in self.relevant_rows(person) if canon(row["tlf"]).startswith("+49")]
        if len(rows) < 2:
            return None
        first, second = rng.sample(rows, 2)
        self.firm.advo.edit_row(person.betnr, first["id"], value=second["tlf"])
        self.firm.advo.edit_row(person.betnr, second["id"], value=first["tlf"])
        person.edited_sides.add("advo")
        return f"{first['tlf']} and {second['tlf']} change places"


def is_number(value: str | None) -> bool:
    """Whether a row's value is one number for certain."""
    return canon(value or "").startswith("+")


def is_unclear(value: str | None) -> bool:
    """Whether a row shows what is no one number and no mail address."""
    return bool(value) and not is_number(value) and "@" not in str(value)


Action = Callable[[People, Person, Random], "str | None"]
ESPO_ACTIONS: tuple[Action, ...] = (
    People.add_item, People.add_item, People.change_item, People.change_item, People.delete_item, People.delete_item,
    People.retype_item, People.flag_item, People.save_only, People.swap_items, People.share_item,
)  # fmt: skip
ADVO_ACTIONS: tuple[Action, ...] = (
    People.add_new_row, People.add_new_row, People.change_row, People.change_row, People.remove_row, People.empty_row,
    People.respell_row, People.retext_row, People.wipe_remark, People.damage_marker, People.copy_row,
    People.double_row, People.fill_row, People.swap_rows, People.type_many,
)  # fmt: skip
LOCKED = "locked"
RECORD_SAVES = frozenset({*(action.__name__ for action in ESPO_ACTIONS), "opt_out", LOCKED})
"""What makes a record modified by somebody else, so that types on it count (rules §3, Type changes)."""
