"""How the station reaches its broker, and the rules about doing so safely."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from edge_agent.model.errors import ConfigRefused, Problem

RECEIVE_MAXIMUM = 20
"""Downlinks that the broker may have under way to us, hence also the bound of our queue."""


class TlsContext(ssl.SSLContext):
    """A context that can close its last socket: paho drops one whose handshake failed, open."""

    _last: ssl.SSLSocket | None = None

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        """See `ssl.SSLContext.wrap_socket`."""
        self._last = super().wrap_socket(
            sock,
            server_side,
            do_handshake_on_connect,
            suppress_ragged_eofs,
            server_hostname,
            session,
        )
        return self._last

    def close_last(self) -> None:
        """Close the last socket that was wrapped."""
        if self._last is not None:
            self._last.close()


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Mutual TLS: the private CA that signs the broker, and the station's own certificate.

    The certificate's common name is the station's id, by which the broker's access list decides.
    """

    ca_file: Path
    certificate_file: Path
    key_file: Path

    def context(self) -> TlsContext:
        """Return a context that trusts this CA alone, checks the name, and speaks TLS 1.2 or later.

        Raises:
            ConfigRefused: a file is missing or is no certificate or key.
        """
        context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(cafile=self.ca_file)
            context.load_cert_chain(self.certificate_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            raise _refused(f"uplink.tls: {error}") from error
        return context


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """Where the broker is. Plain TCP is for loopback alone: a demo, a test, a broker beside us.

    Raises:
        ConfigRefused: no TLS and the host is not loopback.
    """

    host: str
    port: int
    client_id: str
    tls: TlsSettings | None = None
    keepalive_s: int = 30
    session_expiry_s: int = 3600
    connect_timeout_s: float = 5.0
    retry_first_s: float = 1.0
    retry_most_s: float = 120.0

    def __post_init__(self) -> None:
        if self.tls is None and not _is_loopback(self.host):
            raise _refused("uplink: a broker that is not on loopback needs uplink.tls")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refused(detail: str) -> ConfigRefused:
    return ConfigRefused(
        Problem(
            "uplink_config",
            "总部连接配置错误，请检查证书和地址",
            "the connection to headquarters is configured wrongly: check certificates and address",
        ),
        detail,
    )
