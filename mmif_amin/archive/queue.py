"""The queue on disk: which study is how far. Each change is one transaction, so it survives the end of the process.

A study goes ``received -> ready -> fusing -> fused -> sending -> done``, or ends as ``failed``. Objects that come later
send a finished study back to ``received``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ..scripts.utils.checks import InputError
from .queue_objects import ObjectQueue
from .queue_states import GIVEN_UP, SENT, UNDER_WAY, WAITING, State, StudyRow, move, reopen

__all__ = ["State", "StudyQueue", "StudyRow"]


class StudyQueue(ObjectQueue):
    """The queue of studies."""

    def settle(self, study: str) -> None:
        """A study is complete: ``received -> ready``."""
        with self.change() as base:
            move(base, study, State.READY, (State.RECEIVED,))

    def start(self, study: str) -> bool:
        """A study goes to a worker: ``ready -> fusing``.

        Returns:
            Whether it was ready; another process may have dropped it.
        """
        with self.change() as base:
            started = move(base, study, State.FUSING, (State.READY,))
            if started:
                base.execute("UPDATE studies SET attempts = attempts + 1, more = 0 WHERE uid = ?", (study,))
            return started

    def finish(self, study: str, key: str, destinations: Sequence[str]) -> State:
        """The result lies on the disk: ``fusing -> fused``; or ``done``, where it was delivered before.

        If more of the study has come meanwhile, this result is of half of it: ``fusing -> received``.

        Returns:
            The state that it has now.
        """
        with self.change() as base:
            if base.execute("SELECT 1 FROM results WHERE key = ?", (key,)).fetchone():
                base.execute("UPDATE studies SET result = ? WHERE uid = ?", (key, study))
                self._end(base, study)
                return State.DONE
            if base.execute("SELECT more FROM studies WHERE uid = ?", (study,)).fetchone() == (1,):
                reopen(base, study)
                return State.RECEIVED
            move(base, study, State.FUSED, (State.FUSING,))
            base.execute("UPDATE studies SET result = ?, fused = fused + 1, attempts = 0 WHERE uid = ?", (key, study))
            base.execute("DELETE FROM deliveries WHERE study = ?", (study,))
            rows = [(study, name, WAITING) for name in destinations]
            base.executemany("INSERT INTO deliveries (study, destination, state) VALUES (?, ?, ?)", rows)
            return State.FUSED

    def fail(self, study: str, reason: str, tries: int) -> bool:
        """A study could not be fused: ``fusing -> ready``, or ``failed`` after so many tries.

        Returns:
            Whether it is given up.
        """
        with self.change() as base:
            attempts, more = base.execute("SELECT attempts, more FROM studies WHERE uid = ?", (study,)).fetchone()
            given_up = attempts >= tries and not more
            move(base, study, State.FAILED if given_up else State.READY, (State.FUSING,), reason)
            if more:
                reopen(base, study)
            return given_up

    def send(self, study: str, key: str) -> bool:
        """A result begins to be sent: ``fused -> sending``.

        Returns:
            Whether it is still to be sent; more of the study may have come just now.
        """
        with self.change() as base:
            move(base, study, State.SENDING, (State.FUSED,))
            now = base.execute("SELECT state, result FROM studies WHERE uid = ?", (study,)).fetchone()
            return now == (State.SENDING, key)

    def delivered(self, study: str, destination: str) -> None:
        """A destination has all of a result; after the last one: ``sending -> done``."""
        with self.change() as base:
            base.execute(
                "UPDATE deliveries SET state = ?, reason = '' WHERE study = ? AND destination = ?",
                (SENT, study, destination),
            )
            self._end(base, study)

    def undelivered(self, study: str, destination: str, reason: str, tries: int) -> bool:
        """A destination did not take a result; after so many tries it is given up, and the study ``failed``.

        Returns:
            Whether it is given up.
        """
        with self.change() as base:
            which = "WHERE study = ? AND destination = ?"
            base.execute(
                f"UPDATE deliveries SET attempts = attempts + 1, reason = ? {which}", (reason, study, destination)
            )
            attempts = base.execute(f"SELECT attempts FROM deliveries {which}", (study, destination)).fetchone()[0]
            base.execute("UPDATE studies SET reason = ? WHERE uid = ?", (f"{destination}: {reason}", study))
            if attempts < tries:
                return False
            base.execute(f"UPDATE deliveries SET state = ? {which}", (GIVEN_UP, study, destination))
            self._end(base, study)
            return True

    def _end(self, base: sqlite3.Connection, study: str) -> None:
        """End a study of which nothing more is to be sent."""
        rows = base.execute("SELECT destination, state, reason FROM deliveries WHERE study = ?", (study,)).fetchall()
        if any(state == WAITING for _, state, _ in rows):
            return
        given_up = [f"{name}: {reason}" for name, state, reason in rows if state == GIVEN_UP]
        end = State.FAILED if given_up else State.DONE
        move(base, study, end, UNDER_WAY, "; ".join(given_up))
        key, more = base.execute("SELECT result, more FROM studies WHERE uid = ?", (study,)).fetchone()
        if end == State.DONE:
            base.execute("INSERT OR IGNORE INTO results VALUES (?, ?)", (key, study))
        if more:
            reopen(base, study)

    def recover(self) -> None:
        """After the end of a process: what was being fused is begun again; an interrupted try does not count."""
        with self.change() as base:
            base.execute(
                "UPDATE studies SET state = ?, attempts = MAX(attempts - 1, 0) WHERE state = ?",
                (State.READY, State.FUSING),
            )

    def give_up_all_but(self, destinations: Sequence[str]) -> list[str]:
        """Give up what is to go to a destination that the settings do not name any more.

        Returns:
            The pseudonyms of these studies.
        """
        marks = ", ".join("?" * len(destinations))
        with self.change() as base:
            rows = base.execute(
                "SELECT uid, name, destination FROM deliveries d JOIN studies ON uid = study "
                f"WHERE d.state = ? AND destination NOT IN ({marks})",
                (WAITING, *destinations),
            ).fetchall()
            for study, _, destination in rows:
                base.execute(
                    "UPDATE deliveries SET state = ?, reason = ? WHERE study = ? AND destination = ?",
                    (GIVEN_UP, "the settings name no such destination", study, destination),
                )
                self._end(base, study)
        return [name for _, name, _ in rows]

    def retry(self, study: str) -> None:
        """Begin again with a failed study, where it failed; its tries are counted anew.

        It is then fused even if an object of it was not taken.

        Raises:
            InputError: When it is not there or has not failed.
        """
        with self.change() as base:
            row = base.execute("SELECT state, result, name FROM studies WHERE uid = ?", (study,)).fetchone()
            if row is None or row[0] != State.FAILED:
                found, name = (row[0], row[2]) if row else ("not there", study)
                raise InputError(f"{name}: expected a failed study, it is {found}.")
            move(base, study, State.FUSED if row[1] else State.READY, (State.FAILED,))
            base.execute("UPDATE studies SET attempts = 0 WHERE uid = ?", (study,))
            base.execute("DELETE FROM refused WHERE study = ?", (study,))
            base.execute(
                "UPDATE deliveries SET state = ?, attempts = 0 WHERE study = ? AND state = ?",
                (WAITING, study, GIVEN_UP),
            )

    def drop(self, study: str) -> list[str]:
        """Forget a study.

        Returns:
            Its files, relative to the folder, which the caller deletes.

        Raises:
            InputError: When it is not there, or is under way.
        """
        with self.change() as base:
            row = base.execute("SELECT state, name FROM studies WHERE uid = ?", (study,)).fetchone()
            if row is None or row[0] in UNDER_WAY:
                found = f"it is {row[0]}. Wait until it is done or failed" if row else "it is not there"
                raise InputError(f"{row[1] if row else study}: expected a study that is not under way, {found}.")
            files = [file for (file,) in base.execute("SELECT file FROM objects WHERE study = ?", (study,))]
            for table in ("objects", "refused", "deliveries", "results"):
                base.execute(f"DELETE FROM {table} WHERE study = ?", (study,))
            base.execute("DELETE FROM studies WHERE uid = ?", (study,))
            return files

    def studies(self, *states: State) -> list[StudyRow]:
        """All studies, or those in one of these states, in the order in which they came."""
        where = f"WHERE state IN ({', '.join('?' * len(states))})" if states else ""
        rows = self.ask(
            "SELECT uid, name, state, attempts, reason, result, fused, "
            "(SELECT COUNT(*) FROM objects WHERE study = uid), received, changed "
            f"FROM studies {where} ORDER BY received, uid",
            *states,
        )
        return [StudyRow(row[0], row[1], State(row[2]), *row[3:]) for row in rows]

    def results(self, study: str) -> frozenset[str]:
        """Keys of what was made of a study and delivered to all destinations."""
        return frozenset(key for (key,) in self.ask("SELECT key FROM results WHERE study = ?", study))

    def waiting(self, destination: str) -> list[tuple[str, str, str, int]]:
        """UID, pseudonym, result and failed tries of the studies that a destination is to get."""
        return self.ask(
            "SELECT uid, name, result, d.attempts FROM deliveries d JOIN studies ON uid = study "
            "WHERE destination = ? AND d.state = ? AND studies.state IN (?, ?) ORDER BY d.attempts, received",
            destination,
            WAITING,
            State.FUSED,
            State.SENDING,
        )
