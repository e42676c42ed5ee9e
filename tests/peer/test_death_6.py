"""Death at the passages 6n+6 of a reissue (death.py)."""

import unittest

from death import Death


class Share(Death):
    share = 5


del Death

if __name__ == "__main__":
    unittest.main()
