import unittest

from shop import pages


class PagesTest(unittest.TestCase):
    def test_full_pages_are_counted(self):
        self.assertEqual(pages.count(40, 10), 4)
