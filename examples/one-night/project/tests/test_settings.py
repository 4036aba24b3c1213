import unittest

from shop import settings


class SettingsTest(unittest.TestCase):
    def test_settings_are_read(self):
        self.assertEqual(settings.read("# shop\nname = corner\n\nopen=9"), {"name": "corner", "open": "9"})
