"""What tests of archives share: a real Orthanc, and certificates of an own authority."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.mmif_amin.archive.orthanc import MISSING, Orthanc
from tests.mmif_amin.archive.place import STUDY, Place
from tests.model.dicom.dicom_phantoms import write_series

DAY = datetime.timedelta(days=1)


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    """An empty archive."""
    if MISSING:
        pytest.skip(MISSING)
    archive = Orthanc(tmp_path / "orthanc")
    yield archive
    archive.kill()


def make_certificates(folder: Path, authority: str) -> None:
    """Write an authority ``<authority>.pem`` and what it signed for this machine: ``<authority>-own.pem``, with key."""
    now = datetime.datetime.now(datetime.UTC)
    signer, name = ec.generate_private_key(ec.SECP256R1()), _name(authority)
    root = _builder(name, name, signer, now).add_extension(x509.BasicConstraints(True, None), True)
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    signed_root = root.add_extension(usage, True).sign(signer, hashes.SHA256())
    key = ec.generate_private_key(ec.SECP256R1())
    places = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    own = _builder(_name(f"{authority} own"), name, key, now).add_extension(x509.SubjectAlternativeName(places), False)
    signed = own.sign(signer, hashes.SHA256())
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{authority}.pem").write_bytes(signed_root.public_bytes(pem))
    (folder / f"{authority}-own.pem").write_bytes(signed.public_bytes(pem) + secret)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - DAY).not_valid_after(now + DAY)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two authorities, ``ours`` and ``foreign``."""
    folder = tmp_path_factory.mktemp("certificates")
    for authority in ("ours", "foreign"):
        make_certificates(folder, authority)
    return folder


@pytest.fixture
def place(tmp_path):
    """Makes nodes in this process; their logs must name no patient."""
    places = []

    def make(**changes) -> Place:
        places.append(Place(tmp_path, **changes))
        return places[-1]

    yield make
    for made in reversed(places):
        made.node.stop()
        made.check_privacy()
        made.queue.close()


@pytest.fixture
def images(tmp_path):
    """Three small objects of one series."""
    return write_series(tmp_path / "source", (8, 8, 3), StudyInstanceUID=STUDY).files
