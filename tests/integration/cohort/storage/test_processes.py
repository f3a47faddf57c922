"""Several processes share one cache and one folder; some of them are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from heartify.cohort.storage.names import object_name
from heartify.cohort.storage.objects import put_object, stored_size
from heartify.cohort.storage.store import open_store
from heartify.cohort.storage.unreferenced import LEAST_GRACE_SECONDS, remove_unreferenced
from heartify.cohort.storage.verified_cache import VerifiedCache

READ_AGAIN_AND_AGAIN = textwrap.dedent("""
    import sys
    from pathlib import Path
    from heartify.cohort.storage.store import open_store
    from heartify.cohort.storage.verified_cache import VerifiedCache
    import hashlib
    store, cache = open_store(sys.argv[1]), VerifiedCache(Path(sys.argv[2]), int(sys.argv[3]))
    for _ in range(15):
        for name in sys.argv[4:]:
            digest, size = name.split(":")
            assert hashlib.sha256(cache.read_object(store, digest, int(size))).hexdigest() == digest
    print("right")
""")


def test_processes_that_evict_each_others_files_all_read_the_right_bytes(
    make_version: Callable, tmp_path: Path
) -> None:
    version = make_version(*range(50_000, 50_008))
    version.publish(open_store(str(tmp_path / "store")))
    names = [f"{entry.object_name}:{entry.size}" for entry in version.manifest.columns]
    limit = 160_000
    command = [sys.executable, "-c", READ_AGAIN_AND_AGAIN, str(tmp_path / "store"), str(tmp_path / "cache"), str(limit)]

    readers = [
        subprocess.Popen([*command, *names[i:], *names[:i]], stdout=subprocess.PIPE, text=True) for i in range(3)
    ]
    said = [reader.communicate(timeout=60)[0] for reader in readers]

    assert said == ["right\n"] * 3
    kept = [path.stat().st_size for path in (tmp_path / "cache" / "files").iterdir()]
    assert 0 < sum(kept) <= limit
    assert list((tmp_path / "cache" / "partial").iterdir()) == []


def test_a_reader_that_is_killed_holds_up_nobody(make_version: Callable, tmp_path: Path) -> None:
    version = make_version(1_000)
    store = open_store(str(tmp_path / "store"))
    version.publish(store)
    (entry,) = version.manifest.columns
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from heartify.cohort.storage import download
        from heartify.cohort.storage.store import Store, open_store
        from heartify.cohort.storage.verified_cache import VerifiedCache

        class Slow(Store):
            def open_stream(self, name, start=0):
                print("downloading", flush=True)
                time.sleep(60)

        opened = open_store(sys.argv[1])
        slow = Slow(opened.url, opened.filesystem, opened.root)
        VerifiedCache(Path(sys.argv[2]), 10_000).read_object(slow, sys.argv[3], 1_000)
    """)
    command = [sys.executable, "-c", script, str(tmp_path / "store"), str(tmp_path / "cache"), entry.object_name]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "downloading\n"
    os.kill(reader.pid, signal.SIGKILL)
    reader.wait()
    reader.stdout.close()

    found = VerifiedCache(tmp_path / "cache", 10_000).read_object(store, entry.digest, entry.size)

    assert found == version.files[0].read_bytes()


def test_a_killed_local_upload_leaves_nothing_visible_and_the_next_one_succeeds(
    make_version: Callable, tmp_path: Path
) -> None:
    version = make_version(3_000_000)
    (entry,) = version.manifest.columns
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from heartify.cohort.storage.objects import put_object
        from heartify.cohort.storage.store import open_store

        def report(done):
            print("block", flush=True)
            time.sleep(60)

        put_object(open_store(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), report=report)
    """)
    arguments = [str(tmp_path / "store"), str(version.files[0]), entry.digest, str(entry.size)]
    writer = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "block\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    store = open_store(str(tmp_path / "store"))
    name = object_name(entry.digest)
    seen = stored_size(store, name), store.list("objects")

    put_object(store, version.files[0], entry.digest, entry.size)

    assert seen == (None, ())
    assert store.get(name, max_bytes=entry.size) == version.files[0].read_bytes()
    left = [path for path in (tmp_path / "store" / "objects").iterdir() if path.name.startswith(".")]
    assert len(left) == 1
    os.utime(left[0], (1, 1))
    version.publish(store)
    removed = remove_unreferenced(store, LEAST_GRACE_SECONDS + 10, grace_seconds=LEAST_GRACE_SECONDS)
    assert [item.name for item in removed] == [f"objects/{left[0].name}"]
    assert not left[0].exists()
