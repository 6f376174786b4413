"""nginx with one worker: the least a proxy can do."""

from dataclasses import dataclass

from bench import calls, tools
from bench.calls import Call, Workload
from bench.peers.contract import Launch, Peer, Site

_CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream mock {{
        server 127.0.0.1:{mock_port};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location /ready {{ return 200; }}
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header connection "";
            proxy_buffering off;  # a stream's events go on as they come
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """nginx from Debian."""

    command: str
    version: str
    name: str = "nginx"

    def launch(self, site: Site) -> Launch:
        """A master and one worker; both count."""
        config = site.folder / "nginx.conf"
        config.write_text(
            _CONFIG.format(folder=site.folder, port=site.port, mock_port=site.mock_port),
            encoding="utf-8",
        )
        return Launch(
            argv=(self.command, "-p", str(site.folder), "-c", str(config)),
            ready_port=site.port,
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
    """Debian's package; its version is the distribution's."""
    del cache
    command = tools.debian("nginx", "nginx-light")
    # nginx writes its version to stderr: "nginx version: nginx/1.22.1".
    version = tools.run(["sh", "-c", '"$0" -v 2>&1', command]).rpartition("/")[2]
    return Nginx(command, version)
