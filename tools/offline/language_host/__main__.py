"""Entry point: `pulumi-language-python [engine's flags] ENGINE_ADDRESS`, started by the Pulumi engine.

`.tools/bin/pulumi-language-python` runs this folder, so Python puts the folder itself on the module path; the package
is imported from the repository's root instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[3])

from tools.offline.language_host.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
