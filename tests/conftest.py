"""What every test shares: how hypothesis searches."""

import os

from hypothesis import settings

# A shared two-core machine says nothing about speed, so examples have no deadline. A build that
# failed must fail again when it is run again, so CI searches from a fixed seed.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")
