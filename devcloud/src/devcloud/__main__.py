"""``python -m devcloud``: the same as the ``devcloud`` command."""

from devcloud.cli import main

raise SystemExit(main())
