"""The states of a study in the queue, and how they change."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["GIVEN_UP", "SENT", "UNDER_WAY", "WAITING", "State", "StudyRow", "move", "reopen"]

WAITING, SENT, GIVEN_UP = "waiting", "sent", "given up"  # states of a delivery


class State(StrEnum):
    """How far a study is."""

    RECEIVED = "received"
    READY = "ready"
    FUSING = "fusing"
    FUSED = "fused"
    SENDING = "sending"
    DONE = "done"
    FAILED = "failed"


UNDER_WAY = (State.FUSING, State.FUSED, State.SENDING)


@dataclass(frozen=True)
class StudyRow:
    """One study of the queue.

    Args:
        uid: StudyInstanceUID.
        name: its pseudonym.
        state: how far it is.
        attempts: how often it was begun to be fused.
        reason: why the last try failed; empty where none did.
        result: key of what was made; empty before.
        fused: how often something new was made of it.
        objects: how many objects have come.
        received: when the first one came, seconds since 1970.
        changed: when its state changed last.
    """

    uid: str
    name: str
    state: State
    attempts: int
    reason: str
    result: str
    fused: int
    objects: int
    received: float
    changed: float


def move(
    base: sqlite3.Connection, study: str, state: State, before: Sequence[State], reason: str | None = None
) -> bool:
    """Change the state of a study that is in one of the states before; returns whether it was."""
    marks = ", ".join("?" * len(before))
    done = base.execute(
        f"UPDATE studies SET state = ?, reason = COALESCE(?, ''), changed = ? WHERE uid = ? AND state IN ({marks})",
        (state, reason, time.time(), study, *before),
    )
    return done.rowcount > 0


def reopen(base: sqlite3.Connection, study: str) -> None:
    """Objects have come after a study was taken for complete."""
    move(base, study, State.RECEIVED, tuple(State))
    base.execute("UPDATE studies SET attempts = 0, more = 0, result = '' WHERE uid = ?", (study,))
    base.execute("DELETE FROM deliveries WHERE study = ?", (study,))
