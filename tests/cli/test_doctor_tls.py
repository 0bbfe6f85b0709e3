"""The check-up of certificates and of a broker that has to prove its name."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge_agent.security.key_files import write_secret
from tests.cli.conftest import ROOT, CommandLine

PEM = serialization.Encoding.PEM


def certificate(name: str, days: int) -> tuple[bytes, bytes]:
    """Return a certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days, hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(PEM), secret


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[int, bytes]]:
    """A TLS server named localhost: its port, and the certificate that signs it."""
    signed, secret = certificate("localhost", 300)
    (tmp_path / "broker.pem").write_bytes(signed + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "broker.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                    with context.wrap_socket(connection, server_side=True):
                        pass
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], signed
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def installed(
    command: CommandLine, host: str, broker: tuple[int, bytes], *, ca: bytes, days: int
) -> dict[str, str]:
    """Configure TLS towards a broker, and return the states of the check-up."""
    paths, (port, _) = command.paths, broker
    paths.create()
    text = (ROOT / "config" / "station.toml").read_text(encoding="utf-8")
    text = text.replace('host = "127.0.0.1"\nport = 18830', f'host = "{host}"\nport = {port}')
    text = text.replace("insecure = true", "")
    tls = '[uplink.tls]\nca = "ca.pem"\ncertificate = "station.pem"\nkey = "station.key"\n'
    paths.config.write_text(f"{text}\n{tls}", encoding="utf-8")
    signed, secret = certificate("demo-1", days)
    for name, content in (("ca.pem", ca), ("station.pem", signed), ("station.key", secret)):
        write_secret(paths.key(name), content)
    checks = command("doctor", "--json").json["checks"]
    return {check["check"]: check["state"] for check in checks}


def test_a_broker_that_proves_its_name(edge_agent: CommandLine, broker: tuple[int, bytes]) -> None:
    found = installed(edge_agent, "localhost", broker, ca=broker[1], days=300)
    assert (found["key uplink.tls"], found["certificate"], found["broker"]) == ("ok", "ok", "ok")


def test_a_broker_with_another_name(edge_agent: CommandLine, broker: tuple[int, bytes]) -> None:
    assert installed(edge_agent, "127.0.0.1", broker, ca=broker[1], days=300)["broker"] == "warn"


def test_a_broker_that_another_ca_signed(
    edge_agent: CommandLine, broker: tuple[int, bytes]
) -> None:
    stranger, _ = certificate("localhost", 300)
    assert installed(edge_agent, "localhost", broker, ca=stranger, days=300)["broker"] == "warn"


@pytest.mark.parametrize(("days", "state"), [(29, "warn"), (-1, "fail")])
def test_a_certificate_that_ends(
    edge_agent: CommandLine, broker: tuple[int, bytes], days: int, state: str
) -> None:
    found = installed(edge_agent, "localhost", broker, ca=broker[1], days=days)
    assert found["certificate"] == state
