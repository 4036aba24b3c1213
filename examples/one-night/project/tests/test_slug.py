import unittest

from shop import slug


class SlugTest(unittest.TestCase):
    def test_words_are_joined_by_hyphens(self):
        self.assertEqual(slug.slug("Green Tea"), "green-tea")
