"""Run one OpenStack Swift on loopback with its S3 API, as a real S3 server for tests; not imported by any of them.

Started as `PYTHON run_swift.py FOLDER FIRST_PORT` by a Python that has the package `swift`. Everything lies in FOLDER;
four servers (proxy, account, container, object) listen on FIRST_PORT and the three after it, until the process ends.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

KEY_ID, SECRET = "test:tester", "testing"

SWIFT_CONF = "[swift-hash]\nswift_hash_path_suffix = heartify\n[storage-policy:0]\nname = one\ndefault = yes\n"
BACKEND_CONF = """[DEFAULT]
devices = {folder}/devices
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
log_address = {folder}/no-syslog
fallocate_reserve = 0
disable_fallocate = true
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
PROXY_CONF = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
log_address = {folder}/no-syslog
[pipeline:main]
pipeline = catch_errors cache s3api tempauth slo proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
allow_multipart_uploads = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
"""


def main(folder: Path, first_port: int) -> None:
    (folder / "devices" / "d1").mkdir(parents=True)
    (folder / "swift.conf").write_text(SWIFT_CONF)
    import swift.common.utils as swift_utils

    swift_utils.SWIFT_CONF_FILE = str(folder / "swift.conf")
    swift_utils.validate_configuration()
    from swift.common.ring import RingBuilder

    for number, kind in enumerate(("account", "container", "object"), start=1):
        port = first_port + number
        builder = RingBuilder(2, 1, 0)
        device = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1", "weight": 1}
        builder.add_dev({**device, "replication_ip": "127.0.0.1", "replication_port": port})
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{kind}.ring.gz"))
        (folder / f"{kind}.conf").write_text(BACKEND_CONF.format(folder=folder, port=port, kind=kind))
    (folder / "proxy.conf").write_text(PROXY_CONF.format(folder=folder, port=first_port))
    from swift.common.wsgi import run_wsgi

    children = []
    for kind in ("account", "container", "object", "proxy"):
        child = os.fork()
        if child == 0:
            sys.exit(run_wsgi(str(folder / f"{kind}.conf"), f"{kind}-server"))
        children.append(child)

    def end(*_: object) -> None:
        for child in children:
            os.kill(child, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    print("started", flush=True)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
