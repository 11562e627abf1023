"""The product without TFX: contracts, configuration, images, releases, the model, the gate, runs and their reports."""

import os

# Arrow's own allocator can crash as a process ends, in the threads of Arrow's pool (SIGSEGV in mimalloc): a run that
# released would exit with 139. The choice is read once, when pyarrow is imported, so it is made before anything else.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
