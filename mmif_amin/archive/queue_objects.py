"""What the queue knows of received objects: where they are, and which were not taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .queue_file import QueueFile
from .queue_states import UNDER_WAY, State, reopen

__all__ = ["ObjectQueue"]


class ObjectQueue(QueueFile):
    """The objects of the studies of a queue."""

    def record(
        self, sop: str, study: str, name: str, file: str, digest: str, place: Callable[[], object] = lambda: None
    ) -> bool:
        """Write down an object that lies on the disk.

        Args:
            sop: its SOPInstanceUID.
            study: its StudyInstanceUID.
            name: the study's pseudonym.
            file: its place, relative to the folder.
            digest: of its content.
            place: puts the object in its place, within the transaction, so that nobody deletes it in between. Defaults
                to nothing.

        Returns:
            Whether it is new; one that has come before with the same content changes nothing.
        """
        now = time.time()
        with self.change() as base:
            place()
            which = "WHERE sop = ? AND study = ?"
            base.execute(f"DELETE FROM refused {which}", (sop, study))
            before = base.execute(f"SELECT digest FROM objects {which}", (sop, study)).fetchone()
            if before == (digest,):
                return False
            base.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (sop, study, file, digest))
            base.execute(
                "INSERT OR IGNORE INTO studies (uid, name, state, received, changed) VALUES (?, ?, ?, ?, ?)",
                (study, name, State.RECEIVED, now, now),
            )
            state = base.execute("SELECT state FROM studies WHERE uid = ?", (study,)).fetchone()[0]
            if state in UNDER_WAY and state != State.FUSED:  # of what is fused nothing was sent yet
                base.execute("UPDATE studies SET more = 1 WHERE uid = ?", (study,))
            elif state != State.RECEIVED:
                reopen(base, study)
        return True

    def refuse(self, sop: str, study: str, series: str, name: str, why: str) -> None:
        """Write down an object that was not taken, until it comes again: its series is not whole without it.

        A study of which nothing else has come is kept as failed, so that it is seen.

        Args:
            sop: its SOPInstanceUID.
            study: its StudyInstanceUID.
            series: its SeriesInstanceUID.
            name: the study's pseudonym.
            why: it was not taken.
        """
        now = time.time()
        with self.change() as base:
            if base.execute("SELECT 1 FROM objects WHERE sop = ? AND study = ?", (sop, study)).fetchone():
                return
            base.execute("INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?)", (sop, study, series, why))
            base.execute(
                "INSERT OR IGNORE INTO studies (uid, name, state, reason, received, changed) VALUES (?, ?, ?, ?, ?, ?)",
                (study, name, State.FAILED, f"an object was not taken: {why}. Send the study again.", now, now),
            )

    def refused(self, study: str) -> dict[str, str]:
        """SeriesInstanceUIDs of the series that lack an object which was not taken, and why."""
        return dict(self.ask("SELECT series, why FROM refused WHERE study = ?", study))

    def forget_objects(self, study: str) -> list[str] | None:
        """Forget the objects of a finished study, but not that it is done.

        Returns:
            Their files, which the caller deletes; None where the study is not done any more.
        """
        with self.change() as base:
            if base.execute("SELECT state FROM studies WHERE uid = ?", (study,)).fetchone() != (State.DONE,):
                return None
            files = [file for (file,) in base.execute("SELECT file FROM objects WHERE study = ?", (study,))]
            base.execute("DELETE FROM objects WHERE study = ?", (study,))
            return files

    def delete_unlisted(self, folder: Path, files: Sequence[str]) -> None:
        """Delete files of objects, but none that has come again since they were forgotten."""
        with self.change() as base:
            for file in files:
                if base.execute("SELECT 1 FROM objects WHERE file = ?", (file,)).fetchone() is None:
                    (folder / file).unlink(missing_ok=True)

    def objects(self, study: str) -> list[tuple[str, str, str]]:
        """SOPInstanceUID, file and digest of the objects of a study."""
        return self.ask("SELECT sop, file, digest FROM objects WHERE study = ? ORDER BY sop", study)

    def has_object(self, sop: str) -> bool:
        """Whether an object has come and is still there."""
        return bool(self.ask("SELECT 1 FROM objects WHERE sop = ?", sop))

    def files(self) -> set[str]:
        """Files of all objects."""
        return {file for (file,) in self.ask("SELECT file FROM objects")}
