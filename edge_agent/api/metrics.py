"""The station's figures in Prometheus' text format. Labels are bounded and never personal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_agent.app.station import Station
from edge_agent.model.fuelling import FpState
from edge_agent.model.views import StationView


def metrics_text(station: Station, collectors: Sequence[Collector] = ()) -> bytes:
    """Return all figures at this instant: the station's, and those of further collectors."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in (_StationFigures(station), *collectors):
        registry.register(collector)
    return generate_latest(registry)


class _StationFigures(Collector):
    def __init__(self, station: Station) -> None:
        self._station = station

    def collect(self) -> Iterator[Metric]:
        view = self._station.view()
        yield from _forecourt(view)
        yield from _headquarters(view)
        yield from _sums(self._station)
        build = GaugeMetricFamily(
            "edge_build_info", "The running version; always 1.", labels=["version", "station"]
        )
        build.add_metric([view.version, view.station], 1)
        yield build


def _forecourt(view: StationView) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "edge_pump_state", "1 for the state that a fuelling point is in.", labels=["pump", "state"]
    )
    unpaid = GaugeMetricFamily(
        "edge_pump_unpaid", "Fuellings of a fuelling point that wait to be paid.", labels=["pump"]
    )
    for point in view.fuelling_points:
        for state in FpState:
            states.add_metric([str(point.fp), state.value], int(state is point.state))
        unpaid.add_metric([str(point.fp)], point.unpaid)
    yield states
    yield unpaid
    cameras = GaugeMetricFamily(
        "edge_camera_healthy", "1 while a camera gives good pictures.", labels=["camera"]
    )
    for camera in view.cameras:
        cameras.add_metric([camera.camera], int(camera.health == "ok"))
    yield cameras
    yield GaugeMetricFamily("edge_stop_all", "1 while everything is stopped.", int(view.stop_all))
    yield GaugeMetricFamily(
        "edge_storage_healthy", "1 while records can be written.", int(view.storage_ok)
    )
    yield GaugeMetricFamily(
        "edge_clock_trusted", "1 while the clock is synchronised.", int(view.clock_trusted)
    )
    yield GaugeMetricFamily("edge_problems", "Problems on the screen.", len(view.problems))


def _headquarters(view: StationView) -> Iterator[Metric]:
    sync = view.sync
    yield GaugeMetricFamily("edge_hq_connected", "1 while HQ is reached.", int(sync.connected))
    yield GaugeMetricFamily(
        "edge_outbox_records", "Records that HQ has not acknowledged.", sync.waiting
    )
    yield GaugeMetricFamily(
        "edge_outbox_sales", "Sales that HQ has not acknowledged.", sync.waiting_sales
    )
    yield GaugeMetricFamily("edge_ledger_head_seq", "Number of the last record.", sync.head_seq)
    yield GaugeMetricFamily(
        "edge_ledger_acked_seq", "Number of the last record that HQ committed.", sync.acked_seq
    )
    yield GaugeMetricFamily(
        "edge_hq_last_ack_timestamp_seconds",
        "Wall time of HQ's last acknowledgement; 0 before the first.",
        (sync.last_ack_ms or 0) / 1000,
    )
    yield GaugeMetricFamily("edge_hq_fork_alarm", "1 for a fork alarm.", int(sync.fork_alarm))


def _sums(station: Station) -> Iterator[Metric]:
    sums = station.books.sums()
    yield CounterMetricFamily("edge_fuellings", "Fuellings delivered, paid or not.", sums.fuellings)
    yield CounterMetricFamily(
        "edge_fuel_dispensed_millilitres", "Fuel delivered, paid or not.", sums.volume.ml
    )
    yield CounterMetricFamily(
        "edge_fuel_amount_fen", "List amount of the fuel delivered, paid or not.", sums.amount.fen
    )
    yield CounterMetricFamily("edge_sales", "Settled sales.", sums.sales)
    yield CounterMetricFamily(
        "edge_sales_payable_fen", "Amount of settled sales after offers.", sums.payable.fen
    )
    yield CounterMetricFamily("edge_member_sales", "Settled sales to members.", sums.member_sales)
    yield CounterMetricFamily("edge_plate_sales", "Settled sales by plate.", sums.plate_sales)
