"""Every error advosync raises, one class per reason.

The tree says who is affected; what the pipeline does and the exit code depend on the class alone (rules §6)::

    AdvosyncError
    ├── ConfigError          wrong usage or configuration: nothing was started          exit 64
    ├── StoreError           the state store cannot be opened, read or written          exit 64
    ├── LockHeld             another run holds the lease                                exit 5
    ├── RunAborted           this run cannot go on; no person's retry count moves
    │   ├── Outage           a system does not answer, or not completely                exit 4
    │   ├── CredentialsRefused   a login was refused: stop at the first refusal         exit 4
    │   ├── ConsecutiveRefusals  a system refuses one person after another              exit 4
    │   └── Stopped          SIGTERM or Ctrl-C                                          exit 6
    ├── UnknownOutcome       a write whose effect must be settled by reading
    └── PersonError          only this person is affected; all others go on
        ├── MalformedPayload a payload lacks a field it must have
        ├── Refused          a system refused what was sent (400, 409 duplicate, 413, 422)
        │   └── Forbidden    403 to this person's read or write, though the login is accepted
        ├── NotFound         404: the person is not there (any more)
        ├── ConcurrentEdit   changed meanwhile (409 modified, 404 on a row): plan again
        ├── RecordLocked     staff locked the record (409 cannotModifyLockedRecord): the person waits
        ├── NotStored        EspoCRM confirmed a write of values and did not store them
        └── VerificationFailed   what was read back is not what was written
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FORBIDDEN = 403
RIGHTS_HINT = "although it accepts the login; check its rights there, and any firewall between."


class AdvosyncError(Exception):
    """Its message is one plain sentence: what happened, to which record, what to do. It never holds a secret."""

    @property
    def kind(self) -> str:
        """What happened, for the log: unlike the message, this never quotes a person's values."""
        return type(self).__name__


class ConfigError(AdvosyncError):
    """Wrong usage or configuration; nothing was started."""


class StoreError(AdvosyncError):
    """The state store cannot be opened, read or written."""


class LockHeld(AdvosyncError):
    """Another writing run holds the lease of this state store."""


class RunAborted(AdvosyncError):
    """This run cannot go on; what is left stays due, and no person is to blame."""


class Outage(RunAborted):
    """A system does not answer, answers nonsense, or answers incompletely."""

    def __init__(self, system: str, reason: str) -> None:
        super().__init__(f"{system} is out: {reason}")
        self.system = system


class CredentialsRefused(RunAborted):
    """A login was refused. Trying again would lock the address (EspoCRM fact A12)."""

    def __init__(self, system: str, reason: str) -> None:
        super().__init__(f"{system} refuses the login: {reason}")
        self.system = system


class ConsecutiveRefusals(RunAborted):
    """A system refuses one person after another: the next run begins behind them, once somebody looked."""

    def __init__(self, system: str, reason: str) -> None:
        super().__init__(f"{system} refuses one person after another: {reason}")
        self.system = system


class Stopped(RunAborted):
    """A signal asked the run to end; the request under way was finished and recorded."""


class UnknownOutcome(AdvosyncError):
    """A write may or may not have arrived (timeout, connection lost, 5xx): find out by reading, never repeat it."""

    def __init__(self, system: str, reason: str) -> None:
        super().__init__(f"{system} did not confirm a write: {reason}")
        self.system = system


class PersonError(AdvosyncError):
    """One person cannot be synced now; all others go on."""


class MalformedPayload(PersonError):
    """A payload lacks a required field, or has it with the wrong type. The message names the field."""


class Refused(PersonError):
    """A system refused what was sent. ``field`` is the one EspoCRM names, if it does, ``type`` the rule it broke.

    ``explained``: the application itself said why; otherwise a firewall in front of it may have answered.
    """

    def __init__(
        self,
        system: str,
        status: int,
        reason: str,
        *,
        field: str | None = None,
        type: str | None = None,  # noqa: A002 - EspoCRM's own word
        explained: bool = True,
    ) -> None:
        super().__init__(f"{system} refused the write ({status}): {reason}")
        self.system = system
        self.status = status
        self.reason = reason
        self.field = field
        self.type = type
        self.explained = explained

    @property
    def kind(self) -> str:
        """Which system refused, and the status of its answer."""
        return f"Refused by {self.system} ({self.status})"


class Forbidden(Refused):
    """403 though the login is accepted: a role, or a firewall that does not like this person's address or values."""

    def __init__(self, system: str, reason: str, *, explained: bool = True) -> None:
        super().__init__(system, FORBIDDEN, reason, explained=explained)
        self.args = (f"{system} refuses this person (403: {reason}) {RIGHTS_HINT}",)


class NotFound(PersonError):
    """404: this person does not exist in that system (any more)."""

    def __init__(self, system: str, key: str) -> None:
        super().__init__(f"{system} has no person {key} (any more)")
        self.system = system


class ConcurrentEdit(PersonError):
    """The record changed between our read and our write: nothing was written, plan again."""


class RecordLocked(PersonError):
    """Staff locked the record in EspoCRM (10 and later): nothing was written, and it waits until it is unlocked."""

    def __init__(self, entity_id: str) -> None:
        super().__init__(f"EspoCRM's record {entity_id} is locked by staff; nothing was written, and it waits.")


class NotStored(PersonError):
    """EspoCRM answered an array PUT with 200, and two reads do not show what was sent."""

    def __init__(self, values: Sequence[str]) -> None:
        super().__init__(
            f"EspoCRM confirmed {', '.join(values)} and did not store it: the API user may not edit that field, or a "
            "hook took it back; run `advosync check`."
        )


class VerificationFailed(PersonError):
    """What was read back is not what was written."""
