"""Death at the passages 4n+3 of an ACME order (death_acme.py)."""

import unittest

from death_acme import AcmeDeath


class Share(AcmeDeath):
    share = 2


del AcmeDeath

if __name__ == "__main__":
    unittest.main()
