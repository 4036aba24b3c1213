import unittest

from shop import stock


class StockTest(unittest.TestCase):
    def test_orders_are_added_up(self):
        self.assertEqual(stock.grouped([("tea", 1), ("tea", 2)], {}), {"tea": 3})
