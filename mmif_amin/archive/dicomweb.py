"""An archive that is asked by DICOMweb: what it has (QIDO), fetching (WADO) and storing (STOW)."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from .tls import TlsFiles, client_context

__all__ = ["WebArchive"]

TRIES = 5
TIMEOUT = (10.0, 60.0)  # seconds: to connect, and without any answer
PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP codes after which another try may succeed
DENIED = (401, 403)
NOT_FOUND, NOT_ACCEPTABLE, CONFLICT = 404, 406, 409
AS_STORED = (("application/dicom", "*"),)  # in any transfer syntax
ALREADY_THERE = (0x0111, 0xB00E)  # reasons of a refusal: "duplicate SOP instance", and the same in Azure's words
PAGE = 200  # results of one question; some archives refuse to be asked for more
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
        if address.tls:
            client_context(tls)  # it refuses what is no certificate before anything is asked
        web, requests = require_archive("dicomweb_client.web"), require_archive("requests")
        session = requests.Session()
        session.trust_env = False
        session.max_redirects = 0  # images and credentials go where the user says, and nowhere else
        session.hooks["response"].append(_in_plain_form)
        session.verify = tls.ca or True
        session.cert = (tls.certificate, tls.key) if tls.key else tls.certificate or None
        if login is not None:
            session.auth = partial(_authorize, login)
        self.client = web.DICOMwebClient(address.url, session=session, timeout=timeout)
        self.client.set_http_retry_params(retry=False)
        logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL + 1)  # it repeats what the archive says
        self.place, self.tries = address.place, tries
        self._asking = False
        self.advice = " Check the login." if login else f" No login for {address.place} was given."

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
            for dataset in self._images(study, series):
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
                missing = {instance: file for instance, file in images.items() if instance not in there}
                for batch in _batches(missing):
                    self._store(study, uid, batch)
                return len(missing)

            sent += self._ask(store)
        return sent

    def _images(self, study: str, series: str) -> Iterator[Any]:
        """The images of a series, uncompressed where the archive can do that."""
        try:
            return self.client.iter_series(study, series)
        except require_archive("requests").exceptions.HTTPError as error:
            if error.response.status_code != NOT_ACCEPTABLE:
                raise
            return self.client.iter_series(study, series, AS_STORED)

    def _store(self, study: str, series: str, batch: Mapping[str, Path]) -> None:
        """Store images. Not the answer's code decides, but what it says of each image, or else the archive's list."""
        answer = self._answer(study, batch.values())
        there, refused = set(), []
        for item in answer.get("FailedSOPSequence") or ():
            reason = int(item.get("FailureReason") or 0)
            if reason in ALREADY_THERE:
                there.add(str(item.ReferencedSOPInstanceUID))
            else:
                refused.append(reason)
        if refused:
            raise ArchiveError(
                f"{self.place}: expected to store {len(batch)} images, {len(refused)} were refused "
                f"(0x{refused[0]:04X})."
            )
        there |= {str(item.ReferencedSOPInstanceUID) for item in answer.get("ReferencedSOPSequence") or ()}
        lost = batch.keys() - there
        lost = lost and lost - self.instances(study, series)
        if lost:
            raise ArchiveError(
                f"{self.place}: expected to store {len(batch)} images, it neither confirms nor lists {len(lost)}."
            )

    def _answer(self, study: str, files: Iterable[Path]) -> Any:
        """What the archive says of each image that it is sent."""
        errors = require_archive("requests").exceptions
        try:
            return self.client.store_instances([read_dataset(file) for file in files], study)
        except errors.HTTPError as error:
            if error.response.status_code != CONFLICT:
                raise
            try:
                return require("pydicom").Dataset.from_json(error.response.json())
            except (ValueError, TypeError, AttributeError, KeyError):
                raise error from None

    def _pages(self, search: Callable[..., list[Any]], *uids: str) -> list[Any]:
        """All answers to a question, also where the archive gives only some at once."""
        found: dict[str, Any] = {}
        while True:
            try:
                page = self._ask(partial(search, *uids, limit=PAGE, offset=len(found)))
            except _NothingThereError:  # some archives say so in place of an empty list
                page = []
            news = {str(answer): answer for answer in page}
            if not news.keys() - found.keys():  # a short page is not yet the last one
                return list(found.values())
            found |= news

    def _ask(self, call: Callable[[], Result]) -> Result:
        """Ask, and again where that may help; a question within a question is part of that one's tries."""
        if self._asking:
            return self._translated(call)
        self._asking = True
        try:
            return with_retries(lambda: self._translated(call), self.tries)
        finally:
            self._asking = False

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
            raise ArchiveError(
                f"{self.place}: answered {code}.{self.advice if code in DENIED else ''}", code not in PASSING
            ) from None
        except errors.TooManyRedirects:
            raise ArchiveError(
                f"{self.place}: sends us to another address. Name that one, if it is the archive.", True
            ) from None
        except errors.SSLError as error:
            raise ArchiveError(f"{self.place}: no TLS: {_reason(error)}", True) from None
        except errors.JSONDecodeError:
            raise ArchiveError(f"{self.place}: expected an answer of DICOMweb, got another. Check the path.") from None
        except (errors.RequestException, EOFError, ConnectionError) as error:
            raise ArchiveError(f"{self.place}: gave no answer ({type(error).__name__}). Is the archive up?") from None
        except InputError:
            raise
        except (ValueError, TypeError, AttributeError, KeyError) as error:  # an answer in another form than DICOMweb's
            kind = type(error).__name__
            raise ArchiveError(f"{self.place}: expected an answer of DICOMweb, got another ({kind}).") from None


def _authorize(login: Login, request: Any) -> Any:
    request.headers["Authorization"] = login.header
    return request


def _reason(error: BaseException) -> str:
    """The last words of an error of TLS, such as why a certificate was refused; the others quote the request."""
    words, found, _ = str(error).rpartition(" (_ssl")
    reason = words.rpartition("] ")[2] if found else type(error).__name__
    return f"{reason}. Name its authority." if "issuer" in reason or "self" in reason else f"{reason.rstrip('.')}."


def _in_plain_form(response: Any, **_: Any) -> None:
    """Mend what dicomweb-client does not look at in an answer.

    It takes JSON with a parameter, such as a charset, for no answer at all. And a series that is cut short looks whole
    to it where neither a length nor chunks say how long it is.
    """
    kind = response.headers.get("Content-Type", "")
    media = kind.partition(";")[0].strip().lower()
    if media.endswith(("json", "xml")):
        response.headers["Content-Type"] = media
    elif media.startswith("multipart/") and not {"Content-Length", "Transfer-Encoding"} & response.headers.keys():
        pieces = response.iter_content
        response.iter_content = lambda *args, **keywords: _to_its_end(pieces(*args, **keywords))


def _to_its_end(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces of a message of several parts, the last of which closes it."""
    end = b""
    for piece in pieces:
        end = (end + piece)[-8:]
        yield piece
    if not end.rstrip().endswith(b"--"):
        raise ConnectionError("the answer is cut short")


def _batches(files: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """The files in groups of limited size, because the client encodes a group in memory."""
    batch: dict[str, Path] = {}
    size = 0
    for instance, file in files.items():
        length = os.path.getsize(file)
        if batch and size + length > BATCH:
            yield batch
            batch, size = {}, 0
        batch[instance] = file
        size += length
    if batch:
        yield batch
