"""``python -m executor``."""

import gc
import sys

# Every job pays for its executor's start. structlog imports these two for tracebacks, where they
# happen to be installed, for 0.2 s of CPU; and there is no garbage to collect while modules load.
for _unneeded in ("rich", "twisted"):
    sys.modules.setdefault(_unneeded, None)  # type: ignore[arg-type]  # None: cannot be imported
gc.disable()

from executor.process import main  # noqa: E402 - the point of the lines above

gc.freeze()
gc.enable()

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
