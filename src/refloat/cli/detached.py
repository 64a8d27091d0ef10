"""``python -m refloat.cli.detached``: runs one operation, without a terminal, to its end.

Started by ``--no-wait``. It writes what it has to say to stderr, which is a file. SIGTERM parks the
operation. It does not live for ever: after two days it parks the operation and ends.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence

from refloat.cli.main import RefloatApp
from refloat.cli.running import OperationRunner, Stopped

LONGEST = 48 * 3600.0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="refloat.cli.detached", description=__doc__)
    parser.add_argument("operation_id")
    parser.add_argument("action", choices=("resume", "cancel"))
    parser.add_argument("--os-cloud", default=None)
    chosen = parser.parse_args(argv)
    app = RefloatApp()
    app.options, _ = app.parser.parse_known_args(["--os-cloud", chosen.os_cloud] if chosen.os_cloud else [])
    app.configure_logging()
    try:
        return _run(app, chosen.operation_id, chosen.action)
    except Stopped:
        return 130
    except Exception as exc:
        return app.tell(exc)


def _run(app: RefloatApp, operation_id: str, action: str) -> int:
    from refloat.cli.embedded import Embedded

    runner = OperationRunner(app)
    with Embedded(cloud_name=app.options.os_cloud, notify=app.say) as refloat:
        operation = refloat.look(operation_id).operation
        begin = refloat.resume if action == "resume" else refloat.cancel
        timer = threading.Timer(LONGEST, lambda: refloat.stop(operation_id))
        timer.daemon = True
        timer.start()
        ended = runner.run(refloat, operation, lambda: begin(operation_id))
        app.say(f"The operation has ended: {ended.state}")
        if ended.error:
            app.stderr.write(f"{ended.error.get('message', '')}: {ended.error.get('reason', '')}\n")
    return 0 if ended.state == "succeeded" else 1


if __name__ == "__main__":
    sys.exit(main())
