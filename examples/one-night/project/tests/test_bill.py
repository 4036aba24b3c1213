import unittest

from shop import bill


class BillTest(unittest.TestCase):
    def test_an_even_bill_is_split_evenly(self):
        self.assertEqual(bill.split(900, 3), [300, 300, 300])
