"""An archive that is asked by DICOMweb: what it has (QIDO), fetching (WADO) and storing (STOW)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..scripts.dicom.header import read_dataset, require
from ..scripts.dicom.privacy import quiet_pydicom
from ..scripts.utils.checks import InputError
from .addresses import Address
from .errors import ArchiveError, with_retries
from .extra import require_archive
from .login import Login
from .rules import Candidate
from .tls import TlsFiles

__all__ = ["WebArchive"]

TRIES = 5
TIMEOUT = (10.0, 60.0)  # seconds: to connect, and without any answer
PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP codes after which another try may succeed
DENIED = (401, 403)
NOT_FOUND = 404
PAGE = 1000  # results of one question
BATCH = 64 * 2**20  # bytes that are stored at once

Result = TypeVar("Result")


class _NothingThereError(ArchiveError):
    """The archive knows no such resource."""


class WebArchive:
    """An archive with DICOMweb.

    Every question is asked again after a growing pause while the archive is down or overloaded. Proxies, ``.netrc``
    and certificates that the environment names are not used, so only what is written here decides who is trusted.

    Args:
        address: where it is.
        login: credentials. Defaults to None.
        tls: own authority, and a certificate of one's own. Defaults to the system's authorities.
        tries: how often each question is asked at most. Defaults to 5.
        timeout: seconds to connect, and without any answer. Defaults to 10 and 60.

    Raises:
        InputError: When a file of ``tls`` is not there or the extra is not installed.
    """

    def __init__(
        self,
        address: Address,
        login: Login | None = None,
        tls: TlsFiles = TlsFiles(),  # noqa: B008  # it is frozen
        tries: int = TRIES,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> None:
        for file in (tls.ca, tls.certificate, tls.key):
            if file and not Path(file).is_file():
                raise InputError(f"{file}: expected a PEM file for TLS, found nothing there.")
        web, requests = require_archive("dicomweb_client.web"), require_archive("requests")
        session = requests.Session()
        session.trust_env = False
        session.verify = tls.ca or True
        session.cert = (tls.certificate, tls.key) if tls.key else tls.certificate or None
        if login is not None:
            session.auth = partial(_authorize, login)
        self.client = web.DICOMwebClient(address.url, session=session, timeout=timeout)
        self.client.set_http_retry_params(retry=False)
        self.place = address.place
        self.tries = tries

    def series(self, study: str) -> list[Candidate]:
        """The series of images of a study.

        Raises:
            ArchiveError: When the archive does not answer, or has no such study.
        """
        pydicom = require("pydicom")
        found = []
        for answer in self._pages(self.client.search_for_series, study):
            uid = str(pydicom.Dataset.from_json(answer).SeriesInstanceUID)
            images = self.instances(study, uid)
            if not images:
                continue
            metadata = self._ask(partial(self.client.retrieve_instance_metadata, study, uid, min(images)))
            with quiet_pydicom():
                header = pydicom.Dataset.from_json(metadata, lambda *_: b"")
            if "Columns" in header:
                found.append(Candidate(study, uid, header, len(images)))
        if not found:
            raise ArchiveError(
                f"{self.place}: expected a study with images, found none of that UID. Check --study.", lasting=True
            )
        return found

    def instances(self, study: str, series: str) -> set[str]:
        """SOPInstanceUIDs of a series; empty where the archive does not know it.

        Raises:
            ArchiveError: When the archive does not answer.
        """
        pydicom = require("pydicom")
        answers = self._pages(self.client.search_for_instances, study, series)
        return {str(pydicom.Dataset.from_json(answer).SOPInstanceUID) for answer in answers}

    @quiet_pydicom()
    def fetch(self, study: str, series: str, folder: Path) -> dict[str, Path]:
        """Fetch all images of a series.

        Args:
            study: StudyInstanceUID.
            series: SeriesInstanceUID.
            folder: where to; it is made.

        Returns:
            SOPInstanceUIDs with their files.

        Raises:
            ArchiveError: When the archive does not answer, or gives other images than it lists.
        """
        folder.mkdir(parents=True, exist_ok=True)

        def fetch() -> dict[str, Path]:
            listed = self.instances(study, series)
            files: dict[str, Path] = {}
            for dataset in self.client.iter_series(study, series):
                files[str(dataset.SOPInstanceUID)] = file = folder / f"{len(files):06d}.dcm"
                dataset.save_as(file, enforce_file_format=True)
            if set(files) != listed:
                raise ArchiveError(
                    f"{self.place}: expected {len(listed)} images of a series, got {len(files)}. It is incomplete "
                    "there, or still arriving."
                )
            return files

        return self._ask(fetch)

    @quiet_pydicom()
    def store(self, files: Iterable[Path]) -> int:
        """Store images; those that the archive has are not sent again.

        Args:
            files: DICOM files.

        Returns:
            How many were sent.

        Raises:
            ArchiveError: When the archive does not answer, or refuses an image.
        """
        series: dict[tuple[str, str], dict[str, Path]] = {}
        for file in files:
            header = read_dataset(file, stop_before_pixels=True)
            key = str(header.StudyInstanceUID), str(header.SeriesInstanceUID)
            series.setdefault(key, {})[str(header.SOPInstanceUID)] = file
        sent = 0
        for (study, uid), images in series.items():

            def store(study: str = study, uid: str = uid, images: dict[str, Path] = images) -> int:
                there = self.instances(study, uid)
                missing = [file for instance, file in images.items() if instance not in there]
                for batch in _batches(missing):
                    self._store(study, [read_dataset(file) for file in batch])
                return len(missing)

            sent += self._ask(store)
        return sent

    def _store(self, study: str, datasets: Sequence[Any]) -> None:
        answer = self.client.store_instances(datasets, study)
        failed = answer.get("FailedSOPSequence") or []
        if failed:
            reason = int(failed[0].get("FailureReason", 0))
            raise ArchiveError(
                f"{self.place}: expected to store {len(datasets)} images, {len(failed)} were refused (0x{reason:04X})."
            )

    def _pages(self, search: Callable[..., list[Any]], *uids: str) -> list[Any]:
        """All answers to a question, also where the archive gives only some at once."""
        found: dict[str, Any] = {}
        while True:
            try:
                page = self._ask(partial(search, *uids, limit=PAGE, offset=len(found)))
            except _NothingThereError:  # some archives say so in place of an empty list
                page = []
            news = {str(answer): answer for answer in page}
            if not news.keys() - found.keys():
                return list(found.values())
            found |= news
            if len(page) < PAGE:
                return list(found.values())

    def _ask(self, call: Callable[[], Result]) -> Result:
        return with_retries(lambda: self._translated(call), self.tries)

    def _translated(self, call: Callable[[], Result]) -> Result:
        """Call, with every error of the packages below as an :class:`ArchiveError`; theirs quote the request."""
        errors = require_archive("requests").exceptions
        try:
            return call()
        except ArchiveError:
            raise
        except errors.HTTPError as error:
            code = error.response.status_code
            if code == NOT_FOUND:
                raise _NothingThereError(f"{self.place}: answered 404. Check the path and the UID.", True) from None
            advice = " Check the login." if code in DENIED else ""
            raise ArchiveError(f"{self.place}: answered {code}.{advice}", code not in PASSING) from None
        except errors.SSLError as error:
            raise ArchiveError(
                f"{self.place}: its certificate or ours was not accepted: {_reason(error)}. Name its authority.", True
            ) from None
        except (errors.RequestException, EOFError, ConnectionError) as error:
            raise ArchiveError(f"{self.place}: gave no answer ({type(error).__name__}). Is the archive up?") from None
        except InputError:
            raise
        except (ValueError, AttributeError, KeyError) as error:  # an answer in another form than DICOMweb's
            kind = type(error).__name__
            raise ArchiveError(f"{self.place}: expected an answer of DICOMweb, got another ({kind}).") from None


def _authorize(login: Login, request: Any) -> Any:
    request.headers["Authorization"] = login.header
    return request


def _reason(error: BaseException) -> str:
    """The last words of an error of TLS: why a certificate was refused."""
    words = str(error).rpartition("CERTIFICATE_VERIFY_FAILED] ")[2].rpartition("(_ssl")[0].strip()
    return words or type(error).__name__


def _batches(files: Sequence[Path]) -> Iterable[list[Path]]:
    """The files in groups of limited size, because the client encodes a group in memory."""
    batch: list[Path] = []
    size = 0
    for file in files:
        length = os.path.getsize(file)
        if batch and size + length > BATCH:
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += length
    if batch:
        yield batch
