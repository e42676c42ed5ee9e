"""Death at the passages 6n+4 of a reissue (death.py)."""

import unittest

from death import Death


class Share(Death):
    share = 3


del Death

if __name__ == "__main__":
    unittest.main()
