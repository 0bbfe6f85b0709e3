"""Mutual TLS to a real mosquitto: who is not who he says is not spoken to, and sees nothing."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from edge_agent.model import topics
from edge_agent.model.errors import ConfigRefused
from edge_agent.ports import Inbound
from edge_agent.sim.live.broker import free_port, mosquitto_path, takes_connections
from edge_agent.uplink.mqtt import MqttUplink
from edge_agent.uplink.settings import MqttSettings, TlsSettings
from tests.sync_kit import SeededEntropy

CONFIG = Path(__file__).parents[2] / "config" / "mosquitto"
INSTALLED_AT = "/etc/mosquitto/forecourt"
pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(not mosquitto_path(), reason="mosquitto is not installed"),
]


class Authority:
    """A certificate authority of its own folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("test authority")
        certificate = self._sign(self._name, self._key.public_key(), ca=True)
        self.file = folder / "ca.crt"
        self.file.write_bytes(certificate)

    def issue(self, name: str, *, days: int = 1) -> TlsSettings:
        """Issue a certificate that is good for so many days; negative for one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        files = TlsSettings(self.file, self.folder / f"{name}.crt", self.folder / f"{name}.key")
        files.certificate_file.write_bytes(self._sign(_name(name), key.public_key(), days=days))
        files.key_file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return files

    def _sign(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        *,
        days: int = 1,
        ca: bool = False,
    ) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=9))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            common = subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
            names: list[x509.GeneralName] = [x509.DNSName(str(common))]
            if common in {"broker", "expired"}:
                names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki") / "forecourt")


def _start(
    authority: Authority, *, certificate: str = "broker", days: int = 1
) -> tuple[int, subprocess.Popen[bytes]]:
    """Run mosquitto with the configuration that is shipped, its files moved here."""
    authority.issue(certificate, days=days)
    port = free_port()
    text = (CONFIG / "headquarters.conf").read_text(encoding="utf-8")
    acl = authority.folder / "stations.acl"
    acl.write_text((CONFIG / "stations.acl").read_text(encoding="utf-8"), encoding="utf-8")
    text = text.replace(INSTALLED_AT, str(authority.folder))
    text = text.replace("listener 8883", f"listener {port} 127.0.0.1\nuser root")
    text = text.replace("/broker.", f"/{certificate}.")
    config = authority.folder / f"{certificate}.conf"
    config.write_text(text, encoding="utf-8")
    process = subprocess.Popen([str(mosquitto_path()), "-c", str(config)])
    while not takes_connections(port):
        assert process.poll() is None
    return port, process


@pytest.fixture(scope="module")
def port(authority: Authority) -> Iterator[int]:
    number, process = _start(authority)
    yield number
    process.terminate()
    process.wait()


@asynccontextmanager
async def uplink(
    name: str, port: int, tls: TlsSettings, filters: tuple[str, ...], host: str = "127.0.0.1"
) -> AsyncIterator[MqttUplink]:
    settings = MqttSettings(
        host, port, name, tls, retry_first_s=0.05, retry_most_s=0.05, session_expiry_s=0
    )
    made = MqttUplink(settings, filters, (topics.up(name, "birth"), b""), SeededEntropy(name))
    task = asyncio.create_task(made.run())
    try:
        async with asyncio.timeout(20):
            yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _why_not(made: MqttUplink) -> str:
    while not made.last_reason:  # noqa: ASYNC110 - the uplink has no event for a failure
        await asyncio.sleep(0.01)
    assert not made.connected
    return made.last_reason


async def test_a_station_and_headquarters_speak_over_mutual_tls(
    authority: Authority, port: int
) -> None:
    station, hq = authority.issue("S-1"), authority.issue("headquarters")
    async with (
        uplink("S-1", port, station, topics.station_filters("S-1")) as ours,
        uplink("headquarters", port, hq, (topics.EVERY_UP,)) as theirs,
    ):
        up, down = ours.messages(), theirs.messages()
        assert await anext(up) is True
        assert await anext(down) is True
        large = bytes(900_000)
        await ours.publish(topics.up("S-1", "ledger"), large)
        assert await anext(down) == Inbound(topics.up("S-1", "ledger"), large)
        for number in range(30):
            await theirs.publish(topics.down("S-1", "ack"), bytes([number]) * 5000)
        for number in range(30):
            assert await anext(up) == Inbound(topics.down("S-1", "ack"), bytes([number]) * 5000)


async def test_a_station_neither_hears_nor_speaks_for_another(
    authority: Authority, port: int
) -> None:
    one, hq = authority.issue("S-7"), authority.issue("headquarters")
    everything = ("forecourt/v1/S-8/down/+", topics.SHARED_CATALOGUE)
    async with (
        uplink("S-7", port, one, everything) as thief,
        uplink("headquarters", port, hq, (topics.EVERY_UP,)) as theirs,
    ):
        heard, taken = thief.messages(), theirs.messages()
        assert await anext(heard) is True
        assert await anext(taken) is True
        await thief.publish(topics.up("S-8", "ledger"), b"in the name of S-8")
        await thief.publish(topics.SHARED_CATALOGUE, b"prices for all")
        await thief.publish(topics.up("S-7", "ledger"), b"our own")
        assert await anext(taken) == Inbound(topics.up("S-7", "ledger"), b"our own")
        await theirs.publish(topics.down("S-8", "ack"), b"for S-8 alone")
        await theirs.publish(topics.SHARED_CATALOGUE, b"for all")
        assert await anext(heard) == Inbound(topics.SHARED_CATALOGUE, b"for all")


async def test_a_broker_of_another_authority_is_not_spoken_to(
    authority: Authority, port: int, tmp_path: Path
) -> None:
    mine = authority.issue("S-1")
    other = Authority(tmp_path / "other")
    wrong = TlsSettings(other.file, mine.certificate_file, mine.key_file)
    async with uplink("S-1", port, wrong, ("x",)) as ours:
        assert "CERTIFICATE_VERIFY_FAILED" in await _why_not(ours)


async def test_a_broker_of_another_name_is_not_spoken_to(authority: Authority, port: int) -> None:
    async with uplink("S-1", port, authority.issue("S-1"), ("x",), host="localhost") as ours:
        assert "Hostname mismatch" in await _why_not(ours)


async def test_a_broker_whose_certificate_has_expired_is_not_spoken_to(
    authority: Authority,
) -> None:
    number, process = _start(authority, certificate="expired", days=-1)
    try:
        async with uplink("S-1", number, authority.issue("S-1"), ("x",)) as ours:
            assert "expired" in await _why_not(ours)
    finally:
        process.terminate()
        process.wait()


async def test_a_station_without_a_certificate_of_ours_is_turned_away(
    authority: Authority, port: int, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "other").issue("S-1")
    forged = TlsSettings(authority.file, stranger.certificate_file, stranger.key_file)
    async with uplink("S-1", port, forged, ("x",)) as ours:
        assert await _why_not(ours)


def test_versions_before_tls_1_2_are_not_offered(authority: Authority) -> None:
    context = authority.issue("S-1").context()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_missing_files_and_plain_connections_are_refused_when_configured(tmp_path: Path) -> None:
    nothing = TlsSettings(tmp_path / "a", tmp_path / "b", tmp_path / "c")
    with pytest.raises(ConfigRefused):
        nothing.context()
    for host in ("broker.example", "10.0.0.1", "0.0.0.0", "::"):
        with pytest.raises(ConfigRefused, match="loopback"):
            MqttSettings(host, 1883, "S-1")
    for host in ("127.0.0.1", "localhost", "::1", "127.8.9.1"):
        assert MqttSettings(host, 1883, "S-1").tls is None
