"""What a station's TOML may say, and the plan of the station that follows from it.

The models refuse unknown keys and wrong types; `loading` turns what they refuse into lines that a
person can act on, and `reference` prints the descriptions that stand here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, Literal, TypeAlias, cast
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from edge_agent.config.paths import StationPaths
from edge_agent.model.canonical import Json
from edge_agent.model.ids import (
    BayId,
    BusId,
    CameraId,
    FpId,
    GradeId,
    LogicalNozzle,
    NozzleNumber,
    StationId,
)
from edge_agent.model.station import BusPlan, CameraPlan, FpPlan, Grade, NozzlePlan, StationPlan

CONFIG_VERSION: Final = 1

RELATIVE: Final = ("./", "../")
"""A driver's option that begins so is a path, counted from the TOML file's folder."""

REMOTE: Final = frozenset({"rtsp", "rtsps", "http", "https"})
"""Schemes of camera sources that are no files."""


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _without_folder(name: str) -> str:
    if "/" in name or name in {".", ".."}:
        raise ValueError("name the file alone, without a folder: it lies among the station's keys")
    return name


def _without_password(source: str) -> str:
    if "@" in urlsplit(source).netloc:
        raise ValueError("no password here: put user:password into a key file, see credentials")
    return source


Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,31}$")]
GradeName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9+-]{1,16}$")]
Shown: TypeAlias = Annotated[str, Field(min_length=1, max_length=40)]
Number: TypeAlias = Annotated[int, Field(ge=1, le=9999)]
Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]
Host: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")]
PathText: TypeAlias = Annotated[str, Field(min_length=1, max_length=255)]
KeyFile: TypeAlias = Annotated[PathText, AfterValidator(_without_folder)]


class Section(BaseModel):
    """Base of all tables."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class StationSection(Section):
    """Who the station is."""

    id: Name = Field(
        description="Name towards headquarters; also the common name of its certificate."
    )
    name_zh: Shown = Field(description="Chinese name, for the screen and receipts.")
    name_en: Shown = Field(description="English name, for the screen.")
    utc_offset_minutes: Annotated[int, Field(ge=-720, le=840)] = Field(
        default=480, description="Local time minus UTC, for receipts and offers by the hour."
    )


class GradeSection(Section):
    """A fuel."""

    id: GradeName = Field(description="Name in records and price sets, such as 92.")
    name: Shown = Field(description="Name on the screen, such as 92#.")


class SerialSection(Section):
    """A serial line. Speed and parity follow from the driver and its options."""

    kind: Literal["serial"] = Field(description="A serial line of this machine:")
    port: PathText = Field(
        description="Serial: the device, best a name given by udev such as /dev/forecourt/bus1."
    )


class TcpSection(Section):
    """A device server or a Modbus TCP gateway."""

    kind: Literal["tcp"] = Field(description="serial; a connection: tcp.")
    host: Host = Field(description="TCP: address or name of the device.")
    port: Port = Field(description="TCP: its port.")


class NozzleSection(Section):
    """One hose."""

    number: Number = Field(description="Number on the label (枪号), unique over the station.")
    logical: Annotated[int, Field(ge=1, le=15)] = Field(
        description="Number within the fuelling point, as the dispenser counts, from 1."
    )
    grade: GradeName = Field(description="What flows through it: the id of one of [[grades]].")


class FpSection(Section):
    """One fuelling point: one side of a dispenser."""

    number: Number = Field(description="Number of the fuelling point, unique over the station.")
    address: Annotated[int, Field(ge=0, le=255)] = Field(
        description="Address on its bus, as the dispenser's menu shows it."
    )
    bay: Name | None = Field(default=None, description="The bay where its customers park.")
    nozzles: Annotated[
        tuple[NozzleSection, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=15)
    ] = Field(description="Its hoses.")


class BusSection(Section):
    """One line with dispensers that speak one protocol."""

    id: Name = Field(description="Name of the bus in logs and metrics.")
    driver: Shown = Field(description="Protocol: dart, modbus, or the word of an installed driver.")
    transport: SerialSection | TcpSection = Field(
        discriminator="kind", description="How its bytes travel."
    )
    options: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="The driver's own settings, which it checks itself; see its README. "
        "A text that begins with ./ or ../ is a path, counted from this file's folder.",
    )
    fuelling_points: Annotated[
        tuple[FpSection, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=64)
    ] = Field(description="Who listens on the bus.")


class CameraSection(Section):
    """A camera over a bay."""

    id: Name = Field(description="Name of the camera.")
    bay: Name = Field(description="The bay that it watches.")
    source: Annotated[PathText, AfterValidator(_without_password)] = Field(
        description="An rtsp:// address, a /dev/video device, a video file or a folder of pictures."
    )
    credentials: KeyFile | None = Field(
        default=None, description="Key file with user:password for the camera."
    )


class TlsSection(Section):
    """Mutual TLS with the broker. The files lie among the station's keys."""

    ca: KeyFile = Field(description="Certificate of the private CA that signs the broker.")
    certificate: KeyFile = Field(description="The station's certificate.")
    key: KeyFile = Field(description="The station's private key.")


class UplinkSection(Section):
    """The broker that leads to headquarters."""

    host: Host = Field(description="The broker's name, as its certificate says it.")
    port: Port = Field(default=8883, description="Its port.")
    insecure: bool = Field(
        default=False, description="Plain TCP, for a broker on this machine only: a demo, a test."
    )
    tls: TlsSection | None = Field(default=None, description="Certificates; needed elsewhere.")


class ApiSection(Section):
    """The local API and the attendants' screen."""

    host: Host = Field(default="127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8470, description="TCP port; 0 takes a free one."
    )
    socket: bool = Field(default=False, description="Listen on the Unix socket api.sock as well.")
    names: Annotated[tuple[Host, ...], BeforeValidator(_as_tuple), Field(max_length=8)] = Field(
        default=(), description="Further host names under which screens reach the agent."
    )


class KeysSection(Section):
    """Key files, by name; they lie among the station's keys, mode 0600 or 0400."""

    hq_public_keys: KeyFile = Field(
        default="hq-public-keys.json", description="Keys whose signatures the station trusts."
    )
    blind_index: KeyFile = Field(
        default="blind-index.key", description="Key under which members are looked up."
    )
    seal: KeyFile = Field(
        default="seal.key",
        description="Key under which personal data is sealed; made at the first start.",
    )
    staff: KeyFile = Field(
        default="staff.json",
        description="Who may confirm beside the attendant, with hashed PINs; may be absent.",
    )


class StorageSection(Section):
    """Room on the disk."""

    reserve_mib: Annotated[int, Field(ge=0, le=1024)] = Field(
        default=8, description="Held back so that running fuellings are recorded on a full disk."
    )
    warn_free_mib: Annotated[int, Field(ge=0, le=1_048_576)] = Field(
        default=512, description="`edge-agent doctor` complains when less is free."
    )


class StationConfig(Section):
    """The whole file."""

    config_version: Literal[1] = Field(description="Version of this format: 1.")
    station: StationSection = Field(description="Who the station is.")
    grades: Annotated[
        tuple[GradeSection, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=32)
    ] = Field(description="The fuels.")
    buses: Annotated[
        tuple[BusSection, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=32)
    ] = Field(description="The lines to the dispensers.")
    cameras: Annotated[
        tuple[CameraSection, ...], BeforeValidator(_as_tuple), Field(max_length=32)
    ] = Field(default=(), description="The cameras; none is fine.")
    uplink: UplinkSection = Field(description="The way to headquarters.")
    api: ApiSection = Field(default=ApiSection(), description="The local API and the screen.")
    keys: KeysSection = Field(default=KeysSection(), description="Key files.")
    storage: StorageSection = Field(default=StorageSection(), description="Room on the disk.")

    def plan(self, paths: StationPaths) -> StationPlan:
        """Return the plan of the station, with relative paths resolved against the TOML's folder.

        Cameras' sources are without their credentials; see `camera_address`.
        """
        return StationPlan(
            station=StationId(self.station.id),
            name_zh=self.station.name_zh,
            name_en=self.station.name_en,
            grades=tuple(Grade(GradeId(grade.id), grade.name) for grade in self.grades),
            buses=tuple(_bus_plan(bus, paths) for bus in self.buses),
            cameras=tuple(
                CameraPlan(CameraId(camera.id), _source(camera, paths), BayId(camera.bay))
                for camera in self.cameras
            ),
        )

    def transport(self, bus: BusId) -> SerialSection | TcpSection:
        """Return how the bytes of a bus travel.

        Raises:
            KeyError: there is no such bus.
        """
        for section in self.buses:
            if section.id == bus:
                return section.transport
        raise KeyError(bus)

    def camera_address(
        self, camera: CameraId, paths: StationPaths, read_secret: Callable[[str], bytes]
    ) -> str:
        """Return a camera's source with its credentials put in; a secret, never to be logged.

        Args:
            camera: one of the configuration's cameras.
            paths: against which a relative source is resolved.
            read_secret: gives the content of a key file by its name.

        Raises:
            KeyError: there is no such camera.
        """
        for section in self.cameras:
            if section.id == camera:
                source = _source(section, paths)
                if section.credentials is None:
                    return source
                user, _, password = read_secret(section.credentials).decode().strip().partition(":")
                parts = urlsplit(source)
                netloc = f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}"
                return urlunsplit(parts._replace(netloc=netloc))
        raise KeyError(camera)


def _bus_plan(bus: BusSection, paths: StationPaths) -> BusPlan:
    return BusPlan(
        bus=BusId(bus.id),
        driver=bus.driver,
        fuelling_points=tuple(_fp_plan(point) for point in bus.fuelling_points),
        options={key: _option(value, paths) for key, value in bus.options.items()},
    )


def _option(value: JsonValue, paths: StationPaths) -> Json:
    if isinstance(value, str) and value.startswith(RELATIVE):
        return str(paths.beside_config(value))
    # A float is passed on: the driver, which knows the key, refuses it by name.
    return cast("Json", value)


def _fp_plan(point: FpSection) -> FpPlan:
    nozzles = tuple(
        NozzlePlan(
            NozzleNumber(nozzle.number), LogicalNozzle(nozzle.logical), GradeId(nozzle.grade)
        )
        for nozzle in point.nozzles
    )
    bay = None if point.bay is None else BayId(point.bay)
    return FpPlan(FpId(point.number), point.address, nozzles, bay)


def _source(camera: CameraSection, paths: StationPaths) -> str:
    if urlsplit(camera.source).scheme in REMOTE:
        return camera.source
    return str(paths.beside_config(camera.source))
