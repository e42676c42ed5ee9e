"""Death at the passages 6n+3 of a reissue (death.py)."""

import unittest

from death import Death


class Share(Death):
    share = 2


del Death

if __name__ == "__main__":
    unittest.main()
