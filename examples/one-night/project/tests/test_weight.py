import unittest

from shop import weight


class WeightTest(unittest.TestCase):
    def test_weights_are_shown(self):
        self.assertEqual((weight.shown(850), weight.shown(1500)), ("850 g", "1.5 kg"))
