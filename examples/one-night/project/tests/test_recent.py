import unittest

from shop import recent


class RecentTest(unittest.TestCase):
    def test_what_was_put_is_there(self):
        kept = recent.Recent(2)
        kept.put("a", "1")
        self.assertEqual((kept.get("a"), kept.get("b")), ("1", None))
