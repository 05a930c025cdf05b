"""The simulated EspoCRM, told to be a version, gives the recorded answers of that version to the recorded requests.

Replayed in the order they were recorded, each at the second of its ``Date``, every status, reason and body must be the
same. Where the simulator falls short, ``DIFFERENCES`` says in what and why.
"""

from __future__ import annotations

import json
import re
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from jobs.sandbox.espocrm.versions import VERSIONS
from tests.recorded import ALL, CASSETTES, recordings_of, replay, simulator_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.sandbox.simulator import SimResponse

ROOT = Path(__file__).parent.parent.parent
HEADERS = ("date", "content-type", "x-app-timestamp", "last-modified", "x-status-reason")


class Shape(NamedTuple):
    """What of an answer is compared."""

    status: int
    headers: dict[str, str | None]
    body: Any


def answer_shape(status: int, headers: dict[str, str], body: str) -> Shape:
    is_json = body[:1] in {"{", "[", '"'}
    return Shape(status, {name: headers.get(name) for name in HEADERS}, json.loads(body) if is_json else body)


def shape_of_recording(interaction: dict[str, Any]) -> Shape:
    response = interaction["response"]
    headers = {name: values[0] for name, values in response["headers"].items()}
    return answer_shape(response["status"]["code"], headers, response["body"]["string"])


def shape_of_simulator(answer: SimResponse) -> Shape:
    headers = {name.lower(): text for name, text in answer.headers.items()}
    return answer_shape(answer.status, headers, answer.body.decode())


def shapes_of(version: str, cassette: str) -> list[tuple[Shape, Shape]]:
    """Each answer of a cassette, as recorded and as the simulator gives it."""
    sim, clock = simulator_at(version, cassette)
    return [
        (shape_of_recording(interaction), shape_of_simulator(replay(sim, clock, interaction)))
        for interaction in recordings_of(version).interactions[cassette]
    ]


def without_unknown_keys(recorded: Shape, simulated: Shape) -> tuple[Shape, Shape]:
    known_keys = recorded.body.keys() & simulated.body.keys()
    return recorded._replace(body={name: recorded.body[name] for name in known_keys}), simulated


def without_field_table(recorded: Shape, simulated: Shape) -> tuple[Shape, Shape]:
    acl = {name: rights for name, rights in simulated.body["acl"].items() if name != "fieldTable"}
    return recorded, simulated._replace(body={**simulated.body, "acl": acl})


def without_order(recorded: Shape, simulated: Shape) -> tuple[Shape, Shape]:
    def ordered(shape: Shape) -> Shape:
        primary, *others = shape.body["phoneNumberData"]
        others = sorted(others, key=itemgetter("phoneNumber"))
        return shape._replace(body={**shape.body, "phoneNumberData": [primary, *others]})

    return ordered(recorded), ordered(simulated)


def without_page(recorded: Shape, simulated: Shape) -> tuple[Shape, Shape]:
    assert all("<h1>Slim Application Error</h1>" in shape.body for shape in (recorded, simulated))
    return recorded, Shape(simulated.status, recorded.headers, recorded.body)


class Difference(NamedTuple):
    """In what the simulator falls short of a request of a recording, and what is compared all the same."""

    versions: tuple[str, ...]
    cassette: str
    request: int
    fact: str
    reason: str
    align: Callable[[Shape, Shape], tuple[Shape, Shape]]


DIFFERENCES = [
    Difference(("9.2",), "login", 0, "B12", "recorded before `acl.fieldTable` was kept", without_field_table),
    Difference(("8.4",), "write_refused", 6, "A7", "the items after the primary come in another order", without_order),
    Difference(("8.4",), "shared_lookup", 1, "B3", "the page of the 500 is shorter", without_page),
    Difference(
        tuple(VERSIONS), "protected_row", 4, "B5", "of a Contact the sandbox knows name and addresses only",
        without_unknown_keys,
    ),
]  # fmt: skip
CELLS = [(version, cassette) for version in VERSIONS for cassette in recordings_of(version).interactions]


def differences_of(version: str, cassette: str) -> dict[int, Difference]:
    """What is known to differ in a cassette, by the number of the request."""
    return {
        difference.request: difference
        for difference in DIFFERENCES
        if cassette == difference.cassette and version in difference.versions
    }


@pytest.mark.parametrize(("version", "cassette"), CELLS)
def test_every_recorded_request_gets_the_recorded_answer(version: str, cassette: str) -> None:
    differences = differences_of(version, cassette)
    for number, (recorded, simulated) in enumerate(shapes_of(version, cassette)):
        if number in differences:
            assert simulated != recorded, f"{differences[number].reason}: no more"
            recorded, simulated = differences[number].align(recorded, simulated)  # noqa: PLW2901
        assert simulated == recorded


def test_no_recording_is_left_out() -> None:
    files = {file.relative_to(CASSETTES).as_posix() for file in CASSETTES.rglob("*.yaml")}
    assert files == {f"espocrm-{VERSIONS[version].number}/{cassette}.yaml" for version, cassette in CELLS}


def recordings_table() -> str:
    """The table of tests/README.md: a line for each recording, a cell for each version that has it."""
    numbers = [version.number for version in VERSIONS.values()]
    rows = [["recording", *numbers], ["---"] * (len(numbers) + 1)]
    for cassette in ALL:
        facts = [[difference.fact for difference in differences_of(v, cassette).values()] or ["="] for v in VERSIONS]
        present = [cassette in recordings_of(version).interactions for version in VERSIONS]
        rows.append([cassette, *(", ".join(cell) if has else "" for has, cell in zip(present, facts, strict=True))])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    reasons = dict.fromkeys(f"* {d.fact}, `{d.cassette}`: {d.reason}." for d in DIFFERENCES)
    return "\n".join([*lines, "", *reasons])


def test_the_table_of_the_page_for_tests_is_that_of_the_recordings() -> None:
    table = recordings_table()
    assert table in (ROOT / "tests" / "README.md").read_text("utf-8"), table


def test_the_client_is_tested_with_every_recording() -> None:
    mark = re.compile(r'^@pytest\.mark\.recording\("(\w+)"\)', re.MULTILINE)
    sources = [file.read_text("utf-8") for file in (ROOT / "tests" / "clients").glob("test_conformance*.py")]
    assert sorted(name for source in sources for name in mark.findall(source)) == sorted(ALL)
