"""Death at the passages 4n+4 of an ACME order (death_acme.py)."""

import unittest

from death_acme import AcmeDeath


class Share(AcmeDeath):
    share = 3


del AcmeDeath

if __name__ == "__main__":
    unittest.main()
